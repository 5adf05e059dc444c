/*
 * struct record: the saved state of one device as bytes, for snapshots and migration.
 *
 * A writer puts little-endian fields in an order of its own choosing, a version first; a reader
 * takes them in the same order. The bytes that a reader sees may come from another host and are
 * hostile: reading past the end yields zeros and is remembered, so a load() checks
 * record_done() once, at the end, before it acts on anything. Not thread-safe; one owner.
 */
#ifndef VMM_RECORD_H
#define VMM_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_MAX 16384 /* the most that one device saves */

struct record {
	size_t len;  /* bytes put so far */
	size_t at;   /* read position */
	bool failed; /* put past RECORD_MAX, or got past len */
	unsigned char data[RECORD_MAX];
};

void record_put(struct record *r, const void *data, size_t len);
void record_put_u8(struct record *r, uint8_t v);
void record_put_u32(struct record *r, uint32_t v);
void record_put_u64(struct record *r, uint64_t v);

void record_get(struct record *r, void *data, size_t len);
uint8_t record_get_u8(struct record *r);
uint32_t record_get_u32(struct record *r);
uint64_t record_get_u64(struct record *r);

/* Bytes that are still to be read. */
size_t record_left(const struct record *r);
/* True when everything was read, nothing was missing and nothing is left. */
bool record_done(const struct record *r);

#endif
