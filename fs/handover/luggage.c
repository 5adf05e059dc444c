/* Luggage: see luggage.h. */
#include "fs/handover/luggage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/daemon.h"

/* ---- packing ---- */

void luggage_begin(struct text *out)
{
	text_addf(out, "luggage %d\n", LUGGAGE_FORMAT);
}

void luggage_end(struct text *out)
{
	text_add(out, "end\n");
}

void luggage_add_object(struct text *out, const struct object *o)
{
	if (o->refusal.len) {
		text_addf(out, "refusal %" PRIu64 " %zu\n", o->id, o->refusal.len);
		text_add_bytes(out, o->refusal.data, o->refusal.len);
	}
	for (size_t i = 0; i < o->nchildren; i++)
		luggage_add_object(out, o->children[i]);
}

void luggage_add_handle(struct text *out, uint64_t number, const struct handle *h)
{
	const struct node n = { h->object, h->file };
	const char *refusal = h->refusal ? h->refusal : "";
	int event = h->file->event_index;
	bool unseen = event >= 0 && h->seen != h->object->version[event];

	if (h->object->gone)
		return;
	text_addf(out, "handle %" PRIu64 " %" PRIu64 " %d %u %u %lld %d %d %d %zu %zu %zu\n",
		  number, node_ino(n), h->flags, h->who.uid, h->who.gid, (long long)h->read_end,
		  unseen, h->rendered, h->draft_bad, strlen(refusal), h->draft.len, h->text.len);
	text_add(out, refusal);
	text_add_bytes(out, text_str(&h->draft), h->draft.len);
	text_add_bytes(out, text_str(&h->text), h->text.len);
}

/* ---- unpacking ---- */

struct unpacker {
	const char *at, *end;
	struct daemon *daemon;
	void (*adopt)(void *arg, uint64_t number, struct handle *h);
	void *arg;
};

/* The next len bytes, or NULL when there are not so many. */
static const char *take(struct unpacker *u, size_t len)
{
	const char *at = u->at;

	if (len > (size_t)(u->end - u->at))
		return NULL;
	u->at += len;
	return at;
}

static bool unpack_refusal(struct unpacker *u, const char *line)
{
	const char *bytes;
	uint64_t id;
	size_t len;
	struct object *o;

	if (sscanf(line, "refusal %" SCNu64 " %zu", &id, &len) != 2 || !(bytes = take(u, len)))
		return false;
	o = object_find(u->daemon, id);
	if (o) {
		text_clear(&o->refusal);
		text_add_bytes(&o->refusal, bytes, len);
	}
	return true;
}

static void fill_handle(struct handle *h, const char *bytes, size_t refusal, size_t draft,
			size_t text)
{
	if (refusal)
		h->refusal = strndup(bytes, refusal);
	text_add_bytes(&h->draft, bytes + refusal, draft);
	text_add_bytes(&h->text, bytes + refusal + draft, text);
}

static bool unpack_handle(struct unpacker *u, const char *line)
{
	int flags, unseen, rendered, bad;
	size_t refusal, draft, text;
	uint64_t number, ino;
	struct caller who = { 0 };
	const char *bytes;
	struct handle *h;
	long long end;
	struct node n;

	if (sscanf(line, "handle %" SCNu64 " %" SCNu64 " %d %u %u %lld %d %d %d %zu %zu %zu",
		   &number, &ino, &flags, &who.uid, &who.gid, &end, &unseen, &rendered, &bad,
		   &refusal, &draft, &text) != 12 ||
	    refusal > NODE_WRITE_MAX || draft > NODE_WRITE_MAX || text > NODE_WRITE_MAX ||
	    !(bytes = take(u, refusal + draft + text)))
		return false;
	if (node_find(u->daemon, ino, &n) < 0 || node_open(n, flags, who, &h) < 0)
		return true;
	h->read_end = end;
	h->rendered = rendered;
	h->draft_bad = bad;
	h->seen -= unseen != 0;
	fill_handle(h, bytes, refusal, draft, text);
	u->adopt(u->arg, number, h);
	return true;
}

/* False at the end, or where it cannot be understood. */
static bool unpack_line(struct unpacker *u)
{
	const char *line = u->at, *newline = memchr(u->at, '\n', (size_t)(u->end - u->at));

	if (!newline)
		return false;
	u->at = newline + 1;
	if (!strncmp(line, "refusal ", 8))
		return unpack_refusal(u, line);
	if (!strncmp(line, "handle ", 7))
		return unpack_handle(u, line);
	return false;
}

int luggage_unpack(const struct text *in, struct daemon *d,
		   void (*adopt)(void *arg, uint64_t number, struct handle *h), void *arg,
		   struct err *e)
{
	struct unpacker u = { text_str(in), text_str(in) + in->len, d, adopt, arg };
	int format = 0, used = 0;

	if (sscanf(u.at, "luggage %d\n%n", &format, &used) != 1 || format != LUGGAGE_FORMAT ||
	    !used)
		return err_set(e, -ENXIO, "what was handed over is of another format");
	u.at += used;
	while (unpack_line(&u))
		continue;
	if (u.end - u.at || in->len < 4 || memcmp(u.end - 4, "end\n", 4))
		return err_set(e, -ENXIO, "what was handed over is not whole");
	return 0;
}
