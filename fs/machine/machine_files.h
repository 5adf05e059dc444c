/*
 * The files of a machine's directory: those that are no settings, and one for each setting.
 */
#ifndef FS_MACHINE_MACHINE_FILES_H
#define FS_MACHINE_MACHINE_FILES_H

#include "backends/config.h"
#include "fs/node.h"

/* Fills a class with the files of a kind of machine; the class owns the array. */
int machine_files(enum machine_kind kind, struct class *ret, struct err *e);

struct machine;

/* A config.yaml, as machine_configure(). Where it is refused and r is NULL, `error` says why. */
int machine_put_document(struct machine *m, const struct text *document, struct caller who,
			 struct request *r, struct err *e);
/* Lines "ERRNO SETTING: SENTENCE", for `error`, with the places that the document has for these. */
void machine_refuse_document(struct machine *m, const struct text *document, const char *lines);

#endif
