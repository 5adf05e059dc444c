/*
 * A machine's configuration as a YAML document: the `config.yaml` file, its copy on disk, and
 * what the daemon sends to a monitor. The only user of libyaml.
 *
 * The document is one flat map, a key for each attribute, a scalar or (for keyed attributes) a
 * map of scalars as its value. Anchors, aliases, tags, several documents, duplicate and unknown
 * keys are refused, each with line and column.
 */
#ifndef FS_CONFIG_YAML_H
#define FS_CONFIG_YAML_H

#include "backends/config.h"
#include "backends/err.h"
#include "backends/text.h"

#define CONFIG_YAML_MAX (256u * 1024) /* bytes in a document */

/* The whole configuration, every key, ending in "...\n". */
int config_print(const struct machine_config *c, struct text *out, struct err *e);

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

/* Finds the keys of a document that config_parse() has accepted; at: by machine_attrs. */
void config_places(enum machine_kind kind, const char *data, size_t len, struct config_place *at);

#endif
