/*
 * struct config_change: a configuration that a running machine's engine is being told of.
 *
 * What the engine has to act on (attr.h: config_tag()) goes to the monitor as a whole, with
 * descriptors for what is new in it; when that has answered, and only then, it is made durable and
 * swapped in, and the client is answered. Of a machine there is one such change at a time: whatever
 * else would change its configuration meanwhile is put off, in its order, and then begins anew with
 * what is so by then.
 */
#ifndef FS_MACHINE_CHANGE_H
#define FS_MACHINE_CHANGE_H

#include "fs/machine/machine.h"

struct config_change;
struct putoff;

/*
 * Sends `next` (taken over on NODE_PARKED) to the monitor. r: answered at the end, NULL: nobody
 * waits. document: the config.yaml that says it, for the places in refusals, or NULL.
 */
int change_begin(struct machine *m, struct machine_config *next, struct request *r,
		 const struct part_ref *own, const struct text *document, struct err *e);
/* Tells the monitor what is durable: it may have another, of a daemon that was killed. */
void change_restore(struct machine *m);
/* A new part that the engine is not told of: what is under way is to have it, too. */
void change_add_part(struct config_change *c, enum part_kind kind, const char *name);
/* The monitor's answer. */
void change_answered(struct config_change *c, int rc, const struct err *e);

/* For the time when no change is under way: this write again, or this rmdir. NODE_PARKED. */
int change_put_off_write(struct machine *m, struct handle *h, struct request *r, const char *data,
			 size_t len, struct err *e);
int change_put_off_rmdir(struct machine *m, struct object *o, struct request *r, struct err *e);
/* Likewise of a document for which nobody waits. Takes it over. */
int change_put_off_document(struct machine *m, struct text *document, struct caller who,
			    struct err *e);
/* The machine is being freed: they are refused. */
void change_drop_all(struct machine *m);

#endif
