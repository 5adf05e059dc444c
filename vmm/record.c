/* struct record: see record.h. */
#include "vmm/record.h"

#include <string.h>

void record_put(struct record *r, const void *data, size_t len)
{
	if (r->failed || len > sizeof(r->data) - r->len) {
		r->failed = true;
		return;
	}
	memcpy(r->data + r->len, data, len);
	r->len += len;
}

static void record_put_le(struct record *r, uint64_t v, unsigned bytes)
{
	unsigned char b[8];

	for (unsigned i = 0; i < bytes; i++)
		b[i] = (unsigned char)(v >> (8 * i));
	record_put(r, b, bytes);
}

void record_put_u8(struct record *r, uint8_t v)
{
	record_put_le(r, v, 1);
}

void record_put_u32(struct record *r, uint32_t v)
{
	record_put_le(r, v, 4);
}

void record_put_u64(struct record *r, uint64_t v)
{
	record_put_le(r, v, 8);
}

void record_get(struct record *r, void *data, size_t len)
{
	if (r->failed || r->len > sizeof(r->data) || r->at > r->len || len > r->len - r->at) {
		r->failed = true;
		memset(data, 0, len);
		return;
	}
	memcpy(data, r->data + r->at, len);
	r->at += len;
}

static uint64_t record_get_le(struct record *r, unsigned bytes)
{
	unsigned char b[8];
	uint64_t v = 0;

	record_get(r, b, bytes);
	for (unsigned i = bytes; i-- > 0;)
		v = v << 8 | b[i];
	return v;
}

uint8_t record_get_u8(struct record *r)
{
	return (uint8_t)record_get_le(r, 1);
}

uint32_t record_get_u32(struct record *r)
{
	return (uint32_t)record_get_le(r, 4);
}

uint64_t record_get_u64(struct record *r)
{
	return record_get_le(r, 8);
}

size_t record_left(const struct record *r)
{
	return r->failed || r->len > sizeof(r->data) || r->at > r->len ? 0 : r->len - r->at;
}

bool record_done(const struct record *r)
{
	return !r->failed && r->at == r->len;
}
