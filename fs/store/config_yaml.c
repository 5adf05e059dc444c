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

struct printer {
	yaml_emitter_t emitter;
	struct text *out;
	bool complete; /* only parts that are there for the engine */
};

static int printer_write(void *arg, unsigned char *data, size_t len)
{
	struct printer *p = arg;

	text_add_bytes(p->out, data, len);
	return !text_failed(p->out);
}

static bool emit_scalar(struct printer *p, const char *s, size_t len)
{
	yaml_event_t event;

	return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)s, (int)len, 1,
					    1, YAML_ANY_SCALAR_STYLE) &&
	       yaml_emitter_emit(&p->emitter, &event);
}

static bool emit_map_start(struct printer *p)
{
	yaml_event_t event;

	return yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						   YAML_BLOCK_MAPPING_STYLE) &&
	       yaml_emitter_emit(&p->emitter, &event);
}

static bool emit_map_end(struct printer *p)
{
	yaml_event_t event;

	return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(&p->emitter, &event);
}

/* The lines that an attribute prints, as a map. */
static bool emit_keyed(struct printer *p, const struct attr *a, const char *lines)
{
	if (!emit_map_start(p))
		return false;
	while (*lines) {
		size_t len = strcspn(lines, "\n");
		const char *split = memchr(lines, a->type->separator, len);
		size_t key = split ? (size_t)(split - lines) : len;

		if (!emit_scalar(p, lines, key) ||
		    !emit_scalar(p, lines + key + !!split, len - key - !!split))
			return false;
		lines += len + (lines[len] == '\n');
	}
	return emit_map_end(p);
}

static bool emit_attr(struct printer *p, const struct attr *a, const void *base)
{
	struct text value = TEXT_INIT;
	bool good;

	attr_show(a, base, &value);
	good = !text_failed(&value) && emit_scalar(p, a->name, strlen(a->name));
	if (good && a->type->separator)
		good = emit_keyed(p, a, text_str(&value));
	else if (good)
		good = emit_scalar(p, text_str(&value), value.len ? value.len - 1 : 0);
	text_free(&value);
	return good;
}

static bool emit_settings(struct printer *p, const struct schema *s, const void *base)
{
	const struct attr *a;

	for (size_t i = 0; (a = schema_attr(s, i)); i++)
		if (!emit_attr(p, a, base))
			return false;
	return true;
}

/* A map of a map for each; no key at all when there are none. */
static bool emit_parts(struct printer *p, const struct machine_config *c, enum part_kind kind)
{
	const struct part_type *type = part_type(kind);
	const struct parts *parts = &c->parts[kind];
	bool any = false;

	for (size_t i = 0; i < parts->n; i++) {
		const struct part *part = &parts->list[i];

		if (p->complete && !part_complete(kind, part))
			continue;
		if (!any && !(emit_scalar(p, type->dir, strlen(type->dir)) && emit_map_start(p)))
			return false;
		any = true;
		if (!emit_scalar(p, part->name, strlen(part->name)) || !emit_map_start(p) ||
		    !emit_settings(p, &type->schema, part) || !emit_map_end(p))
			return false;
	}
	return !any || emit_map_end(p);
}

static bool emit_document(struct printer *p, const struct machine_config *c)
{
	yaml_event_t event;

	if (!yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) ||
	    !yaml_emitter_emit(&p->emitter, &event) ||
	    !yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) ||
	    !yaml_emitter_emit(&p->emitter, &event) || !emit_map_start(p) ||
	    !emit_settings(p, machine_schema(c->kind), c))
		return false;
	for (int k = 0; k < PART_KINDS; k++)
		if (!emit_parts(p, c, (enum part_kind)k))
			return false;
	return emit_map_end(p) && yaml_document_end_event_initialize(&event, 1) &&
	       yaml_emitter_emit(&p->emitter, &event) && yaml_stream_end_event_initialize(&event) &&
	       yaml_emitter_emit(&p->emitter, &event);
}

static int print_document(struct printer *p, const struct machine_config *c, struct err *e)
{
	struct text *out = p->out;
	size_t from = out->len;
	bool good;

	if (!yaml_emitter_initialize(&p->emitter))
		return err_sys(e, ENOMEM, "config.yaml");
	yaml_emitter_set_output(&p->emitter, printer_write, p);
	yaml_emitter_set_width(&p->emitter, -1);
	yaml_emitter_set_unicode(&p->emitter, 1);
	good = emit_document(p, c);
	yaml_emitter_delete(&p->emitter);
	/* libyaml leaves out the end mark where the next document could do without it. */
	if (good && (out->len - from < 4 || strcmp(out->data + out->len - 4, "...\n")))
		text_add(out, "...\n");
	if (!good || text_failed(out))
		return err_set(e, -EIO, "config.yaml: the configuration cannot be printed");
	return 0;
}

int config_print(const struct machine_config *c, struct text *out, struct err *e)
{
	struct printer p = { .out = out };

	return print_document(&p, c, e);
}

int config_print_complete(const struct machine_config *c, struct text *out, struct err *e)
{
	struct printer p = { .out = out, .complete = true };

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
