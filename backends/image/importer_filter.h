/*
 * The importer's system call filter: what reading archives and writing files takes.
 *
 * The table of importer_filter.c has a row for each call, with a reason. Whatever else is called,
 * by a decoder that an archive has got hold of say, ends the importer by SIGSYS, and so the import.
 */
#ifndef BACKENDS_IMAGE_IMPORTER_FILTER_H
#define BACKENDS_IMAGE_IMPORTER_FILTER_H

#include "backends/base/err.h"

/* For the calling process, for ever. It must have no_new_privs. */
int importer_filter_install(struct err *e);

#endif
