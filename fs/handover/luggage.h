/*
 * Luggage: what a daemon in good health gives to its successor beside the journal, so that nothing
 * of what clients have open is lost: handles with what was collected and refused there, and the
 * sentences in `error` files.
 */
#ifndef FS_HANDOVER_LUGGAGE_H
#define FS_HANDOVER_LUGGAGE_H

#include <stdint.h>

#include "backends/base/text.h"
#include "fs/node.h"

#define LUGGAGE_FORMAT 1

/* The first and the last line, and what each object and each handle adds. */
void luggage_begin(struct text *out);
void luggage_add_object(struct text *out, const struct object *o); /* and those below */
void luggage_add_handle(struct text *out, uint64_t number, const struct handle *h);
void luggage_end(struct text *out);

/*
 * Puts everything back; adopt() takes each handle over. What is not understood, or stands for an
 * object that is gone, is left out. ENXIO: it is of another format, or cut.
 */
int luggage_unpack(const struct text *in, struct daemon *d,
		   void (*adopt)(void *arg, uint64_t number, struct handle *h), void *arg,
		   struct err *e);

#endif
