/*
 * The files of a machine's directory: those that are no settings, and one for each setting.
 */
#ifndef FS_MACHINE_FILES_H
#define FS_MACHINE_FILES_H

#include "backends/config.h"
#include "fs/node.h"

/* Fills a class with the files of a kind of machine; the class owns the array. */
int machine_files(enum machine_kind kind, struct class *ret, struct err *e);

#endif
