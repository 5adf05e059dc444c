/*
 * struct attr: one setting, declared once as a row of a table.
 *
 * From the row come the file, its mode, parsing and printing, the key in config.yaml, the
 * refusal's text, the section of machinefs(5) and a generic test. The rows stand in
 * fs/tables/machine_attrs.c (what every machine has), fs/tables/vm_attrs.c and
 * fs/tables/container_attrs.c; their values live in struct machine_config (backends/config.h).
 * struct schema says which rows a sort of object has, and struct attr_type how a kind of value is
 * parsed, printed, copied and freed.
 */
#ifndef FS_ATTR_ATTR_H
#define FS_ATTR_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"

#define ATTR_VALUE_MAX 131072 /* bytes that one write to a setting may have: more than any has */

struct attr;

struct attr_type {
	const char *name;   /* for the manual: "number", "size" ... */
	const char *format; /* for the manual: one sentence */
	size_t size;	    /* of the field */
	char separator;	    /* not 0: lines KEY<separator>VALUE, each an update of its own key; a
			       map in config.yaml */
	const char *const *keys; /* of rates: struct rate for each, ended by NULL */
	/*
	 * Parses one line (without its newline) into the field, which holds a valid value: a
	 * scalar replaces it, a keyed line updates it. On failure the field is unchanged. The
	 * sentence does not name the attribute: the caller prefixes it.
	 */
	int (*parse)(const struct attr *a, const char *line, void *field, struct err *e);
	/* The text that parse accepts, with a newline at the end of each line. */
	void (*print)(const struct attr *a, const void *field, struct text *out);
	/* NULL: what prints the same text is the same. */
	bool (*equal)(const void *x, const void *y);
	/* NULL: plain data, copied and forgotten as bytes. */
	int (*copy)(const void *from, void *to);
	void (*free)(void *field);
};

enum attr_flag {
	ATTR_LIVE = 1 << 0,	   /* may change while the machine runs */
	ATTR_FILE_PATH = 1 << 1,   /* names a regular host file, checked as the owner */
	ATTR_DIR_PATH = 1 << 2,	   /* names a host directory, likewise */
	ATTR_DISK_PATH = 1 << 3,   /* a regular file or a block device, to be read and written */
	ATTR_ANY_PATH = 1 << 4,	   /* a directory or a regular file */
	ATTR_NODE_PATH = 1 << 5,   /* a device node */
	ATTR_ENGINE = 1 << 6,	   /* live, and the engine acts on it. All of parts' are so */
	ATTR_OPENS = 1 << 7,	   /* what a part's descriptors depend on: part_type.open() */
	ATTR_SOURCE_PATH = 1 << 8, /* a FIFO, a file, a terminal: to be read */
	ATTR_SINK_PATH = 1 << 9,   /* likewise, to be written */
	ATTR_PATH = ATTR_FILE_PATH | ATTR_DIR_PATH | ATTR_DISK_PATH | ATTR_ANY_PATH |
		    ATTR_NODE_PATH | ATTR_SOURCE_PATH | ATTR_SINK_PATH,
};

struct attr {
	const char *name;
	const struct attr_type *type;
	size_t offset; /* in what holds the values: see struct schema */
	unsigned flags;
	uint64_t min, max;	  /* bounds of numbers and sizes; most bytes of strings in max */
	const char *const *words; /* of word and words types, ended by NULL */
	const char *initial;	  /* its default, as text; NULL: empty. Keyed ones have none */
	const char *doc;	  /* sentences for the manual */
	const char *good, *bad;	  /* samples: an accepted and a refused text */
};

/* A row that machines, images and switches have, but for its offset. */
#define COMMON_LABEL                                                           \
	.name = "label", .type = &attr_keyed, .flags = ATTR_LIVE, .max = 1023, \
	.doc = "Free words for the user's own use.", .good = "owner alice", .bad = "alone"

/* Types; see fs/attr/attr_types.c, attr_lists.c, attr_names.c, cpu_attr_types.c for what each
 * accepts.
 */
extern const struct attr_type attr_bool;
extern const struct attr_type attr_number;  /* uint64_t, `max` where attr.max is LIMIT_MAX */
extern const struct attr_type attr_size;    /* likewise, with K, M, G, T */
extern const struct attr_type attr_word;    /* int sized enum, index of the word */
extern const struct attr_type attr_words;   /* uint64_t, a bit a word */
extern const struct attr_type attr_string;  /* char *, one line, never NULL */
extern const struct attr_type attr_path;    /* char *, absolute or empty */
extern const struct attr_type attr_root;    /* char *, absolute, "image NAME", or empty */
extern const struct attr_type attr_argv;    /* char *, shell-quoted */
extern const struct attr_type attr_seccomp; /* char *, "default", "none", absolute */
extern const struct attr_type attr_hostname;
extern const struct attr_type attr_keyed; /* struct keyed */
extern const struct attr_type attr_env;	  /* struct keyed, lines NAME=VALUE */
extern const struct attr_type attr_cpu_max;
extern const struct attr_type attr_quota;
extern const struct attr_type attr_id_quota; /* struct keyed: lines ID bytes=N inodes=N */
extern const struct attr_type attr_user;     /* struct init_user: UID[:GID[,GID...]] */
extern const struct attr_type attr_id_map;   /* struct id_map */
extern const struct attr_type attr_capabilities;
extern const struct attr_type attr_name;      /* char *, of an object, or empty */
extern const struct attr_type attr_cpulist;   /* char *, see backends/base/cpulist.h */
extern const struct attr_type attr_io_max;    /* disk_config.io_max: KEY=RATE words */
extern const struct attr_type attr_nic_rate;  /* nic_config.rate: likewise */
extern const struct attr_type attr_distance;  /* numa_config.distance */
extern const struct attr_type attr_mac;	      /* uint8_t[6] */
extern const struct attr_type attr_addresses; /* struct net_addresses, with prefixes */
extern const struct attr_type attr_gateways;  /* likewise, without */
extern const struct attr_type attr_device_number;
extern const struct attr_type attr_mode;	/* uint64_t, octal */
extern const struct attr_type attr_permissions; /* uint64_t, letters rwm */

extern const struct attr_type attr_signed; /* int64_t; min and max as int64_t */
extern const struct attr_type attr_signal; /* char *, a signal's name or empty */
extern const struct attr_type attr_sysctl; /* struct keyed, as are: */
extern const struct attr_type attr_rlimit;
extern const struct attr_type attr_join;
extern const struct attr_type attr_landlock;
extern const struct attr_type attr_paths;	  /* char *, absolute paths as words */
extern const struct attr_type attr_device_limits; /* struct keyed: lines MAJOR:MINOR WORD=NUMBER */
extern const struct attr_type attr_page_limits;	  /* struct keyed: lines SIZE BYTES */
extern const struct attr_type attr_cpu_model;	  /* char * */
extern const struct attr_type attr_cpu_topology;  /* struct cpu_topology */
extern const struct attr_type attr_cpu_affinity;  /* struct keyed: lines VCPUS CPUS */

/* For types: decimal digits and nothing else, -EINVAL or -ERANGE; units: K, M, G, T behind them. */
int attr_parse_number(const char *s, bool units, uint64_t *ret);
/* `max` or decimal digits. */
void attr_print_limit(uint64_t n, struct text *out);

/* For types that are kept as strings: what they share. */
void attr_print_string(const struct attr *a, const void *field, struct text *out);
bool attr_equal_string(const void *x, const void *y);
int attr_copy_string(const void *from, void *to);
void attr_free_string(void *field);

/* For types whose lines are KEY VALUE: what they share. */
int attr_parse_keyed(const struct attr *a, const char *line, void *field, struct err *e);
void attr_print_keyed(const struct attr *a, const void *field, struct text *out);
int attr_copy_keyed(const void *from, void *to);
void attr_free_keyed(void *field);

struct attr_table {
	const struct attr *rows;
	size_t n;
};

extern const struct attr_table machine_attrs, vm_attrs, container_attrs;

/*
 * The settings of one sort of object: rows of one table or two, in the order of its files and of
 * config.yaml. What holds their values, `base` below, is a structure of this size.
 */
struct schema {
	const char *noun; /* "VM": for sentences */
	size_t size;
	const struct attr_table *tables[2];
};

#define SCHEMA_MAX 128 /* rows of one */

const struct schema *machine_schema(enum machine_kind kind);
/* Row i; NULL behind the last: for (i = 0; (a = schema_attr(s, i)); i++). */
const struct attr *schema_attr(const struct schema *s, size_t i);
const struct attr *schema_find(const struct schema *s, const char *name);
size_t schema_count(const struct schema *s);

/* Every default; freed by schema_free(). On failure there is nothing to free. */
int schema_init(const struct schema *s, void *base, struct err *e);
int schema_copy(const struct schema *s, const void *from, void *to, struct err *e);
bool schema_equal(const struct schema *s, const void *x, const void *y);
void schema_free(const struct schema *s, void *base);

static inline const struct attr *attr_find(enum machine_kind kind, const char *name)
{
	return schema_find(machine_schema(kind), name);
}

static inline void *attr_field(const struct attr *a, const void *base)
{
	return (char *)base + a->offset;
}

/*
 * Applies what one write brought (one or, for keyed attributes, more lines; a last newline may
 * be missing) to the field in base. All or nothing. Sentences begin with the attribute's name.
 */
int attr_store(const struct attr *a, void *base, const char *data, size_t len, struct err *e);
void attr_show(const struct attr *a, const void *base, struct text *out);
bool attr_equal(const struct attr *a, const void *x, const void *y);

/*
 * Parts. A new one has its kind's defaults and stands behind the others; pointers into the list are
 * no longer good. -ENOSPC: there are PARTS_MAX.
 */
int parts_add(struct parts *p, enum part_kind kind, const char *name, struct part **ret,
	      struct err *e);
void parts_remove(struct parts *p, enum part_kind kind, const char *name);
bool parts_equal(const struct parts *x, const struct parts *y, enum part_kind kind);
void parts_free(struct parts *p, enum part_kind kind);

/* A configuration with every default of its kind; freed by config_free(). */
int config_init(enum machine_kind kind, struct machine_config *ret, struct err *e);
int config_copy(const struct machine_config *from, struct machine_config *ret, struct err *e);
/*
 * A hash of all that an engine is told of while the machine runs: two configurations with the same
 * one need no configure().
 */
uint64_t config_tag(const struct machine_config *c);
bool config_equal(const struct machine_config *x, const struct machine_config *y);
void config_free(struct machine_config *c);

#endif
