/*
 * struct attr: one setting of a machine, declared once as a row of a table.
 *
 * From the row come the file, its mode, parsing and printing, the key in config.yaml, the
 * refusal's text, the section of machinefs(5) and a generic test. The rows stand in
 * fs/machine_attrs.c; their values live in struct machine_config (backends/config.h), and
 * struct attr_type says how a kind of value is parsed, printed, copied and freed.
 */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/config.h"
#include "backends/err.h"
#include "backends/text.h"

#define ATTR_VALUE_MAX 131072 /* bytes that one write to a setting may have: more than any has */

struct attr;

struct attr_type {
	const char *name;   /* for the manual: "number", "size" ... */
	const char *format; /* for the manual: one sentence */
	size_t size;	    /* of the field */
	char separator;	    /* not 0: lines KEY<separator>VALUE, each an update of its own key; a
			       map in config.yaml */
	/*
	 * Parses one line (without its newline) into the field, which holds a valid value: a
	 * scalar replaces it, a keyed line updates it. On failure the field is unchanged. The
	 * sentence does not name the attribute: the caller prefixes it.
	 */
	int (*parse)(const struct attr *a, const char *line, void *field, struct err *e);
	/* The text that parse accepts, with a newline at the end of each line. */
	void (*print)(const struct attr *a, const void *field, struct text *out);
	/* NULL: plain data, copied and forgotten as bytes. */
	int (*copy)(const void *from, void *to);
	void (*free)(void *field);
};

enum attr_flag {
	ATTR_VM = 1 << 0,	 /* VMs have it */
	ATTR_CONTAINER = 1 << 1, /* containers have it */
	ATTR_LIVE = 1 << 2,	 /* may change while the machine runs */
	ATTR_FILE_PATH = 1 << 3, /* names a regular host file, checked as the owner */
	ATTR_DIR_PATH = 1 << 4,	 /* names a host directory, likewise */
	ATTR_BOTH = ATTR_VM | ATTR_CONTAINER,
};

struct attr {
	const char *name;
	const struct attr_type *type;
	size_t offset; /* in struct machine_config */
	unsigned flags;
	uint64_t min, max;	  /* bounds of numbers and sizes; most bytes of strings in max */
	const char *const *words; /* of word and words types, ended by NULL */
	const char *initial;	  /* its default, as text; NULL: empty */
	const char *doc;	  /* sentences for the manual */
	const char *good, *bad;	  /* samples: an accepted and a refused text */
};

/* Types; see fs/attr_types.c for what each accepts. */
extern const struct attr_type attr_bool;
extern const struct attr_type attr_number; /* uint64_t, `max` where attr.max is LIMIT_MAX */
extern const struct attr_type attr_size;   /* likewise, with K, M, G, T */
extern const struct attr_type attr_word;   /* int sized enum, index of the word */
extern const struct attr_type attr_words;  /* uint64_t, a bit a word */
extern const struct attr_type attr_string; /* char *, one line, never NULL */
extern const struct attr_type attr_path;   /* char *, absolute or empty */
extern const struct attr_type attr_argv;   /* char *, shell-quoted */
extern const struct attr_type attr_hostname;
extern const struct attr_type attr_keyed; /* struct keyed */
extern const struct attr_type attr_env;	  /* struct keyed, lines NAME=VALUE */
extern const struct attr_type attr_cpu_max;
extern const struct attr_type attr_user;   /* struct init_user: UID[:GID] */
extern const struct attr_type attr_id_map; /* struct id_map */
extern const struct attr_type attr_capabilities;

/* The rows that machines of a kind have, in the order of the manual. */
extern const struct attr machine_attrs[];
extern const size_t machine_attr_count;

bool attr_applies(const struct attr *a, enum machine_kind kind);
const struct attr *attr_find(enum machine_kind kind, const char *name);

static inline void *attr_field(const struct attr *a, const struct machine_config *c)
{
	return (char *)c + a->offset;
}

/*
 * Applies what one write brought (one or, for keyed attributes, more lines; a last newline may
 * be missing) to the field in c. All or nothing. Sentences begin with the attribute's name.
 */
int attr_store(const struct attr *a, struct machine_config *c, const char *data, size_t len,
	       struct err *e);
void attr_show(const struct attr *a, const struct machine_config *c, struct text *out);
bool attr_equal(const struct attr *a, const struct machine_config *x,
		const struct machine_config *y);

/* A configuration with every default of its kind; freed by config_free(). */
int config_init(enum machine_kind kind, struct machine_config *ret, struct err *e);
int config_copy(const struct machine_config *from, struct machine_config *ret, struct err *e);
void config_free(struct machine_config *c);

#endif
