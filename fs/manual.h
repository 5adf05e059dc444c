/* machinefs(5), generated from the tables of files and settings. */
#ifndef FS_MANUAL_H
#define FS_MANUAL_H

#include <stdio.h>

/* Prints the page in mdoc(7). */
int manual_print(FILE *out);

#endif
