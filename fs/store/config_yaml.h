/*
 * A machine's configuration as a YAML document: the `config.yaml` file, its copy on disk, and
 * what the daemon sends to a monitor. The only user of libyaml.
 *
 * The document is one map, a key for each attribute, a scalar or (for keyed attributes) a map of
 * scalars as its value; and a key for each kind of parts that there are, with a map of their names
 * and of each one's attributes. Anchors, aliases, tags, several documents, duplicate and unknown
 * keys are refused, each with line and column.
 */
#ifndef FS_STORE_CONFIG_YAML_H
#define FS_STORE_CONFIG_YAML_H

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "backends/config.h"

#define CONFIG_YAML_MAX (256u * 1024) /* bytes in a document */

/* The whole configuration, every key, ending in "...\n". */
int config_print(const struct machine_config *c, struct text *out, struct err *e);
/* Likewise, without the parts that are not there yet (part_type.h): what an engine is told. */
int config_print_complete(const struct machine_config *c, struct text *out, struct err *e);
/* Likewise, without the settings that are as in defaults (config_init()), of the same kind: for who
 * is of this very program, and so has the same ones. */
int config_print_changed(const struct machine_config *c, const struct machine_config *defaults,
			 struct text *out, struct err *e);

/*
 * Parses a document into a configuration; keys that it lacks have their defaults. *ret is
 * untouched on failure, e has the first refusal, and each refusal is a line
 * "LINE:COLUMN: SENTENCE" in all (when not NULL).
 */
int config_parse(enum machine_kind kind, const char *data, size_t len, struct machine_config *ret,
		 struct text *all, struct err *e);

/* Where a document has a key. */
struct config_place {
	unsigned line, column; /* from 1; 0: it has not */
};

/* Finds a key, "cpu.count", "disk/root" or "disk/root/path", of a document that config_parse()
 * has accepted. */
struct config_place config_place(enum machine_kind kind, const char *data, size_t len,
				 const char *name);

#endif
