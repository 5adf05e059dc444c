/* Configurations as YAML: see config_yaml.h. */
#include "fs/store/config_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "fs/attr/part_type.h"

#define REFUSALS_MAX 50 /* more of them help nobody */

/* ---- printing ---- */

/*
 * Each write of a setting prints them all, and maps of lines are all there is in a document: what
 * libyaml's emitter takes for that is most of what the write takes. The styles are its own.
 */
#define INDENT	       2
#define SIMPLE_KEY_MAX 128 /* a reader need not take more than 1024 bytes: YAML, 7.4.2 */

struct printer {
	struct text *out;
	struct text value;		       /* of the setting that is printed */
	bool complete;			       /* only parts that are there for the engine */
	const struct machine_config *defaults; /* what is as here goes without saying; or NULL */
};

/*
 * Of printable UTF-8, as which names and values are valid (text_line_valid()): what YAML takes for
 * a line's end, for a byte order mark, or not at all (5.1, 5.4 of 1.1). U+2028, 2029, FEFF, FFFE,
 * FFFF.
 */
static const char *const specials[][2] = {
	{ "\xe2\x80\xa8", "\\L" },
	{ "\xe2\x80\xa9", "\\P" },
	{ "\xef\xbb\xbf", "\\uFEFF" },
	{ "\xef\xbf\xbe", "\\uFFFE" },
	{ "\xef\xbf\xbf", "\\uFFFF" },
	{ "\"", "\\\"" },
	{ "\\", "\\\\" },
};

#define SPECIALS      (sizeof(specials) / sizeof(specials[0]))
#define SPECIALS_WIDE (SPECIALS - 2) /* those for which there must be double quotes */

static const char *special_at(const char *s, size_t len, size_t n, size_t *ret_len)
{
	for (size_t i = 0; i < n; i++) {
		*ret_len = strlen(specials[i][0]);
		if (*ret_len <= len && !memcmp(s, specials[i][0], *ret_len))
			return specials[i][1];
	}
	*ret_len = 1;
	return NULL;
}

/* 7.3.3, in a block: it does not begin like something else, nor has a comment or a key's end. */
static bool is_plain(const char *s, size_t len)
{
	if (!len)
		return true;
	if (strchr(" ,[]{}#&*!|>'\"%@`", s[0]) || s[len - 1] == ' ' || s[len - 1] == ':' ||
	    (strchr("-?:", s[0]) && (len == 1 || s[1] == ' ')) ||
	    (len >= 3 && (!strncmp(s, "---", 3) || !strncmp(s, "...", 3))))
		return false;
	for (size_t i = 0; i + 1 < len; i++)
		if ((s[i] == ':' && s[i + 1] == ' ') || (s[i] == ' ' && s[i + 1] == '#'))
			return false;
	return true;
}

static bool has_special(const char *s, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0xe2 && special_at(s + i, len - i, SPECIALS_WIDE, &n))
			return true;
	return false;
}

static void print_single(struct text *out, const char *s, size_t len)
{
	text_add(out, "'");
	for (size_t i = 0; i < len; i++)
		text_add(out, s[i] == '\'' ? "''" : (char[]){ s[i], '\0' });
	text_add(out, "'");
}

static void print_double(struct text *out, const char *s, size_t len)
{
	size_t n;

	text_add(out, "\"");
	for (size_t i = 0; i < len; i += n) {
		const char *escaped = special_at(s + i, len - i, SPECIALS, &n);

		text_add(out, escaped ? escaped : (char[]){ s[i], '\0' });
	}
	text_add(out, "\"");
}

/* What most are: a plain one, seen at a glance. */
static bool is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') ||
		      (s[i] == '.' && i) || s[i] == '/'))
			return false;
	return true;
}

static void print_scalar(struct text *out, const char *s, size_t len)
{
	if (is_word(s, len))
		text_add_bytes(out, s, len);
	else if (has_special(s, len))
		print_double(out, s, len);
	else if (is_plain(s, len))
		text_add_bytes(out, s, len);
	else
		print_single(out, s, len);
}

static void print_indent(struct text *out, int depth)
{
	text_add_bytes(out, "        ", (size_t)(depth * INDENT));
}

/* What follows is its value. */
static void print_key(struct text *out, int depth, const char *key, size_t len)
{
	print_indent(out, depth);
	if (len > SIMPLE_KEY_MAX)
		text_add(out, "? ");
	print_scalar(out, key, len);
	if (len > SIMPLE_KEY_MAX) {
		text_add(out, "\n");
		print_indent(out, depth);
	}
	text_add(out, ":");
}

/* Of an attribute or a directory of parts: a plain and short one. */
static void print_name(struct text *out, int depth, const char *name)
{
	print_indent(out, depth);
	text_add(out, name);
	text_add(out, ":");
}

static void print_value(struct text *out, const char *s, size_t len)
{
	if (len)
		text_add(out, " ");
	print_scalar(out, s, len);
	text_add(out, "\n");
}

/* The lines that an attribute prints, as a map. */
static void print_keyed(struct text *out, int depth, char separator, const char *lines)
{
	text_add(out, *lines ? "\n" : " {}\n");
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		const char *split = memchr(lines, separator, len);
		size_t key = split ? (size_t)(split - lines) : len;

		print_key(out, depth, lines, key);
		print_value(out, lines + key + !!split, len - key - !!split);
		lines += len + (lines[len] == '\n');
	}
}

static void print_settings(struct printer *p, int depth, const struct schema *s, const void *base,
			   const void *defaults)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++) {
		const char *value;

		if (defaults && attr_equal(a, base, defaults))
			continue;
		text_clear(&p->value);
		attr_show(a, base, &p->value);
		value = text_str(&p->value);
		print_name(p->out, depth, a->name);
		if (a->type->separator)
			print_keyed(p->out, depth + 1, a->type->separator, value);
		else
			print_value(p->out, value, p->value.len ? p->value.len - 1 : 0);
		p->out->failed |= text_failed(&p->value);
	}
}

/* A map of a map for each; no key at all when there are none. */
static void print_parts(struct printer *p, const struct machine_config *c, enum part_kind kind)
{
	const struct part_type *type = part_type(kind);
	const struct parts *parts = &c->parts[kind];
	bool any = false;

	for (size_t i = 0; i < parts->n; i++) {
		const struct part *part = &parts->list[i];

		if (p->complete && !part_complete(kind, part))
			continue;
		if (!any) {
			print_name(p->out, 0, type->dir);
			text_add(p->out, "\n");
		}
		any = true;
		print_key(p->out, 1, part->name, strlen(part->name));
		text_add(p->out, schema_attr(&type->schema, 0) ? "\n" : " {}\n");
		print_settings(p, 2, &type->schema, part, NULL);
	}
}

static int print_document(struct printer *p, const struct machine_config *c, struct err *e)
{
	size_t begun = p->out->len;

	print_settings(p, 0, machine_schema(c->kind), c, p->defaults);
	for (int k = 0; k < PART_KINDS; k++)
		print_parts(p, c, (enum part_kind)k);
	if (p->out->len == begun)
		text_add(p->out, "{}\n");
	text_add(p->out, "...\n");
	text_free(&p->value);
	if (text_failed(p->out))
		return err_set(e, -EIO, "config.yaml: the configuration cannot be printed");
	return 0;
}

int config_print(const struct machine_config *c, struct text *out, struct err *e)
{
	struct printer p = { .out = out, .value = TEXT_INIT };

	return print_document(&p, c, e);
}

int config_print_complete(const struct machine_config *c, struct text *out, struct err *e)
{
	struct printer p = { .out = out, .value = TEXT_INIT, .complete = true };

	return print_document(&p, c, e);
}

int config_print_changed(const struct machine_config *c, const struct machine_config *defaults,
			 struct text *out, struct err *e)
{
	struct printer p = {
		.out = out, .value = TEXT_INIT, .complete = true, .defaults = defaults
	};

	return print_document(&p, c, e);
}

/* ---- parsing ---- */

struct reader {
	yaml_parser_t parser;
	struct machine_config config;
	struct text *all;
	struct err *e;
	int refusals;
	bool seen[PART_KINDS]; /* this directory of parts has been there */
	const char *wanted;    /* whose place is looked for, or NULL */
	struct config_place at;
};

/* The map that is being read: the document itself, or a part's. */
struct scope {
	const struct schema *schema;
	void *base;
	char prefix[80];       /* "disk/root/", or "": comes before a setting's name */
	bool seen[SCHEMA_MAX]; /* row i has been set */
};

static int reader_refuse(struct reader *r, const yaml_mark_t *at, const struct err *why)
{
	struct err line = { 0 };

	err_set(&line, why->code, "%zu:%zu: %s", at->line + 1, at->column + 1, why->text);
	if (!r->refusals++ && r->e)
		*r->e = line;
	if (r->all && r->refusals <= REFUSALS_MAX)
		text_addf(r->all, "%s\n", line.text);
	return why->code;
}

static int reader_refuse_text(struct reader *r, const yaml_mark_t *at, const char *text)
{
	struct err why = { 0 };

	err_set(&why, -EINVAL, "%s", text);
	return reader_refuse(r, at, &why);
}

/* The next event; what no document of ours may have is refused here. */
static int reader_next(struct reader *r, yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;

	if (!yaml_parser_parse(&r->parser, event)) {
		yaml_mark_t at = r->parser.problem_mark;

		return reader_refuse_text(r, &at,
					  r->parser.problem ? r->parser.problem : "not YAML");
	}
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		reader_refuse_text(r, &event->start_mark, "aliases are not accepted");
		goto fail;
	case YAML_SEQUENCE_START_EVENT:
		reader_refuse_text(r, &event->start_mark, "a list is not accepted here");
		goto fail;
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (!anchor && !tag)
		return 0;
	reader_refuse_text(r, &event->start_mark,
			   anchor ? "anchors are not accepted" : "tags are not accepted");
fail:
	yaml_event_delete(event);
	return -EINVAL;
}

static int reader_expect(struct reader *r, yaml_event_type_t type, const char *what)
{
	yaml_event_t event;
	int rc = reader_next(r, &event);

	if (rc < 0)
		return rc;
	if (event.type != type)
		rc = reader_refuse_text(r, &event.start_mark, what);
	yaml_event_delete(&event);
	return rc;
}

static void reader_store(struct reader *r, const struct scope *s, const struct attr *a,
			 const yaml_event_t *value, const char *key)
{
	struct err why = { 0 };
	struct text line = TEXT_INIT;

	if (key)
		text_addf(&line, "%s%c", key, a->type->separator);
	text_add_bytes(&line, value->data.scalar.value, value->data.scalar.length);
	/* In a document a newline in a value is a newline, not a further line. */
	if (memchr(value->data.scalar.value, '\n', value->data.scalar.length))
		err_set(&why, -EINVAL, "%s: a value is one line", a->name);
	else if (text_failed(&line))
		err_sys(&why, ENOMEM, "%s", a->name);
	else
		attr_store(a, s->base, text_str(&line), line.len, &why);
	if (why.code)
		err_prefix(&why, "%s", s->prefix);
	if (why.code)
		reader_refuse(r, &value->start_mark, &why);
	text_free(&line);
}

/* The inside of a keyed attribute's map, up to its end. */
static int reader_map(struct reader *r, const struct scope *s, const struct attr *a)
{
	struct text keys = TEXT_INIT; /* "\nKEY\n" of those seen */
	int rc;

	text_add(&keys, "\n");
	for (;;) {
		yaml_event_t key, value;
		struct text mark = TEXT_INIT;

		rc = reader_next(r, &key);
		if (rc < 0)
			break;
		if (key.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&key);
			break;
		}
		rc = key.type == YAML_SCALAR_EVENT
			     ? reader_next(r, &value)
			     : reader_refuse_text(r, &key.start_mark, "a key is one word");
		if (rc < 0) {
			yaml_event_delete(&key);
			break;
		}
		text_addf(&mark, "\n%s\n", key.data.scalar.value);
		if (value.type != YAML_SCALAR_EVENT)
			rc = reader_refuse_text(r, &value.start_mark,
						"a value is one line of text");
		else if (strstr(text_str(&keys), text_str(&mark)))
			reader_refuse_text(r, &key.start_mark, "this key is here twice");
		else if (strpbrk((const char *)key.data.scalar.value, "\n =") ||
			 strlen((const char *)key.data.scalar.value) != key.data.scalar.length)
			reader_refuse_text(r, &key.start_mark, "a key is one word");
		else
			reader_store(r, s, a, &value, (const char *)key.data.scalar.value);
		text_add(&keys, text_str(&mark) + 1);
		text_free(&mark);
		yaml_event_delete(&key);
		yaml_event_delete(&value);
		if (rc < 0)
			break;
	}
	text_free(&keys);
	return rc;
}

/* Reads over a value whose key is refused, so that what follows is checked too. */
static int reader_skip(struct reader *r)
{
	int depth = 0;

	do {
		yaml_event_t event;
		yaml_mark_t at;
		int rc = reader_next(r, &event);

		if (rc < 0)
			return rc;
		at = event.start_mark;
		depth += event.type == YAML_MAPPING_START_EVENT;
		depth -= event.type == YAML_MAPPING_END_EVENT;
		yaml_event_delete(&event);
		if (depth > 4)
			return reader_refuse_text(r, &at, "nested too deeply");
	} while (depth > 0);
	return 0;
}

static void reader_note(struct reader *r, const struct scope *s, const char *name,
			const yaml_event_t *key)
{
	size_t len = strlen(s->prefix);

	if (r->wanted && !strncmp(r->wanted, s->prefix, len) && !strcmp(r->wanted + len, name))
		r->at = (struct config_place){ (unsigned)key->start_mark.line + 1,
					       (unsigned)key->start_mark.column + 1 };
}

static const struct attr *reader_refuse_key(struct reader *r, const struct scope *s,
					    const yaml_event_t *key, const char *why)
{
	struct err e = { 0 };

	err_set(&e, -EINVAL, "%s%.64s: %s", s->prefix, (const char *)key->data.scalar.value, why);
	reader_refuse(r, &key->start_mark, &e);
	return NULL;
}

static const struct attr *reader_key(struct reader *r, struct scope *s, const yaml_event_t *key)
{
	const char *name = (const char *)key->data.scalar.value;
	const struct attr *a;
	char why[64];
	size_t i = 0;

	while ((a = schema_attr(s->schema, i)) && strcmp(a->name, name))
		i++;
	if (!a || strlen(name) != key->data.scalar.length) {
		snprintf(why, sizeof(why), "a %s has no such setting", s->schema->noun);
		return reader_refuse_key(r, s, key, why);
	}
	if (s->seen[i])
		return reader_refuse_key(r, s, key, "this key is here twice");
	s->seen[i] = true;
	reader_note(r, s, name, key);
	return a;
}

static int reader_value(struct reader *r, const struct scope *s, const struct attr *a)
{
	yaml_event_t value;
	int rc;

	if (!a)
		return reader_skip(r);
	rc = reader_next(r, &value);
	if (rc < 0)
		return rc;
	if (value.type == YAML_SCALAR_EVENT && !a->type->separator)
		reader_store(r, s, a, &value, NULL);
	else if (value.type == YAML_MAPPING_START_EVENT && a->type->separator)
		rc = reader_map(r, s, a);
	else if (value.type == YAML_SCALAR_EVENT && value.data.scalar.length == 0)
		; /* "label:" with nothing behind it: no keys */
	else
		rc = reader_refuse_text(r, &value.start_mark,
					a->type->separator ? "a map of KEY: VALUE belongs here"
							   : "one line of text belongs here");
	yaml_event_delete(&value);
	return rc;
}

/* Reads what belongs to one key of a map. */
typedef int reader_entry(struct reader *r, void *arg, const yaml_event_t *key);

/* The inside of a map, up to its end. */
static int reader_entries(struct reader *r, reader_entry *entry, void *arg)
{
	for (;;) {
		yaml_event_t key;
		int rc = reader_next(r, &key);

		if (rc < 0)
			return rc;
		if (key.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&key);
			return 0;
		}
		if (key.type == YAML_SCALAR_EVENT)
			rc = entry(r, arg, &key);
		else
			rc = reader_refuse_text(r, &key.start_mark, "a key is one word");
		yaml_event_delete(&key);
		if (rc < 0)
			return rc;
	}
}

static int part_entry(struct reader *r, void *arg, const yaml_event_t *key)
{
	return reader_value(r, arg, reader_key(r, arg, key));
}

/* "NAME:" in a directory of parts; false: it is refused, and its value to be skipped. */
static bool reader_part_name(struct reader *r, enum part_kind kind, const yaml_event_t *key)
{
	const char *dir = part_type(kind)->dir, *name = (const char *)key->data.scalar.value;
	struct err why = { 0 };

	if (strlen(name) != key->data.scalar.length || !part_name_valid(kind, name))
		err_set(&why, -EINVAL, "%s: \"%.80s\" is not a name%s", dir, name,
			part_type(kind)->numbered ? ": they are numbers from 0 on" : "");
	else if (parts_find(&r->config.parts[kind], name))
		err_set(&why, -EINVAL, "%s/%s: this key is here twice", dir, name);
	else
		parts_add(&r->config.parts[kind], kind, name, NULL, &why);
	if (why.code)
		reader_refuse(r, &key->start_mark, &why);
	return !why.code;
}

static int parts_entry(struct reader *r, void *arg, const yaml_event_t *key)
{
	enum part_kind kind = *(enum part_kind *)arg;
	const char *name = (const char *)key->data.scalar.value;
	struct scope s = { .schema = &part_type(kind)->schema };
	yaml_event_t value;
	int rc;

	if (!reader_part_name(r, kind, key))
		return reader_skip(r);
	s.base = parts_find(&r->config.parts[kind], name);
	snprintf(s.prefix, sizeof(s.prefix), "%s/%s", part_type(kind)->dir, name);
	reader_note(r, &s, "", key);
	strcat(s.prefix, "/");
	rc = reader_next(r, &value);
	if (rc < 0)
		return rc;
	if (value.type == YAML_MAPPING_START_EVENT)
		rc = reader_entries(r, part_entry, &s);
	else if (value.type != YAML_SCALAR_EVENT || value.data.scalar.length)
		rc = reader_refuse_text(r, &value.start_mark, "a map of KEY: VALUE belongs here");
	yaml_event_delete(&value);
	return rc;
}

static int reader_parts(struct reader *r, enum part_kind kind, const yaml_event_t *key)
{
	yaml_event_t value;
	int rc;

	if (r->seen[kind]) {
		reader_refuse_text(r, &key->start_mark, "this key is here twice");
		return reader_skip(r);
	}
	r->seen[kind] = true;
	rc = reader_next(r, &value);
	if (rc < 0)
		return rc;
	if (value.type == YAML_MAPPING_START_EVENT)
		rc = reader_entries(r, parts_entry, &kind);
	else if (value.type != YAML_SCALAR_EVENT || value.data.scalar.length)
		rc = reader_refuse_text(r, &value.start_mark, "a map of NAME: MAP belongs here");
	yaml_event_delete(&value);
	return rc;
}

static int document_entry(struct reader *r, void *arg, const yaml_event_t *key)
{
	const char *name = (const char *)key->data.scalar.value;
	int kind = part_kind_find(r->config.kind, name);

	if (kind >= 0 && strlen(name) == key->data.scalar.length)
		return reader_parts(r, (enum part_kind)kind, key);
	return reader_value(r, arg, reader_key(r, arg, key));
}

static int reader_document(struct reader *r)
{
	struct scope s = { .schema = machine_schema(r->config.kind), .base = &r->config };
	int rc = reader_expect(r, YAML_STREAM_START_EVENT, "not YAML");

	if (rc == 0)
		rc = reader_expect(r, YAML_DOCUMENT_START_EVENT, "the document is empty");
	if (rc == 0)
		rc = reader_expect(r, YAML_MAPPING_START_EVENT, "a map of KEY: VALUE belongs here");
	if (rc == 0)
		rc = reader_entries(r, document_entry, &s);
	if (rc == 0)
		rc = reader_expect(r, YAML_DOCUMENT_END_EVENT, "not YAML");
	if (rc == 0)
		rc = reader_expect(r, YAML_STREAM_END_EVENT, "one document is enough");
	return rc;
}

/* On success the result is in r->config, the caller's. */
static int reader_run(struct reader *r, enum machine_kind kind, const char *data, size_t len)
{
	int rc = config_init(kind, &r->config, r->e);

	if (rc < 0)
		return rc;
	if (!yaml_parser_initialize(&r->parser)) {
		config_free(&r->config);
		return err_sys(r->e, ENOMEM, "config.yaml");
	}
	yaml_parser_set_input_string(&r->parser, (const unsigned char *)data, len);
	reader_document(r);
	yaml_parser_delete(&r->parser);
	if (r->refusals)
		config_free(&r->config);
	return r->refusals ? r->e->code : 0;
}

int config_parse(enum machine_kind kind, const char *data, size_t len, struct machine_config *ret,
		 struct text *all, struct err *e)
{
	struct err unheard = { 0 };
	struct reader r = { .all = all };
	int rc;

	r.e = e = e ? e : &unheard;
	if (len > CONFIG_YAML_MAX) {
		err_set(e, -EINVAL, "1:1: more than %u bytes", CONFIG_YAML_MAX);
		if (all)
			text_addf(all, "%s\n", e->text);
		return -EINVAL;
	}
	rc = reader_run(&r, kind, data, len);
	if (rc == 0)
		*ret = r.config;
	return rc;
}

struct config_place config_place(enum machine_kind kind, const char *data, size_t len,
				 const char *name)
{
	struct err e = { 0 };
	struct reader r = { .e = &e, .wanted = name };

	if (len <= CONFIG_YAML_MAX && reader_run(&r, kind, data, len) == 0)
		config_free(&r.config);
	return r.at;
}
