/* aml: see aml.h. Opcodes from ACPI 6.4, table 20.1; resource descriptors from section 6.4. */
#include "vmm/boot/aml.h"

#include <string.h>

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXT = 0x5b,
	OP_LOCAL0 = 0x60,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_AND = 0x7b,
	OP_NOTIFY = 0x86,
	OP_IF = 0xa0,
	OP_WHILE = 0xa2,
	EXT_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
};

#define METHOD_SERIALIZED 0x08
#define SPACE_IO	  0x01
#define FIELD_BYTE_ACCESS 0x01 /* then word, double word */
#define FIELD_WRITE_ZEROS 0x40

static void aml_byte(struct text *t, unsigned v)
{
	unsigned char b = (unsigned char)v;

	text_add_bytes(t, &b, 1);
}

static void aml_le(struct text *t, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(t, v >> (8 * i) & 0xff);
}

void aml_integer(struct text *t, uint64_t v)
{
	if (v <= 1) {
		aml_byte(t, v ? OP_ONE : OP_ZERO);
	} else if (v <= 0xff) {
		aml_byte(t, OP_BYTE);
		aml_le(t, v, 1);
	} else if (v <= 0xffff) {
		aml_byte(t, OP_WORD);
		aml_le(t, v, 2);
	} else if (v <= 0xffffffff) {
		aml_byte(t, OP_DWORD);
		aml_le(t, v, 4);
	} else {
		aml_byte(t, OP_QWORD);
		aml_le(t, v, 8);
	}
}

void aml_string(struct text *t, const char *s)
{
	aml_byte(t, OP_STRING);
	text_add_bytes(t, s, strlen(s) + 1);
}

void aml_path(struct text *t, const char *path)
{
	size_t segments;

	if (*path == '\\')
		aml_byte(t, (unsigned char)*path++);
	segments = (strlen(path) + 1) / 5; // "ABCD.EFGH"
	if (segments == 0)
		aml_byte(t, 0); // the root itself
	if (segments == 2)
		aml_byte(t, OP_DUAL_NAME);
	if (segments > 2) {
		aml_byte(t, OP_MULTI_NAME);
		aml_byte(t, (unsigned)segments);
	}
	for (size_t i = 0; i < segments; i++)
		text_add_bytes(t, path + 5 * i, 4);
}

void aml_name(struct text *t, const char *name)
{
	aml_byte(t, OP_NAME);
	aml_path(t, name);
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisaid(struct text *t, const char *id)
{
	unsigned v = (unsigned)(id[0] - 0x40) << 26 | (unsigned)(id[1] - 0x40) << 21 |
		     (unsigned)(id[2] - 0x40) << 16 | hex_digit(id[3]) << 12 |
		     hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);

	aml_byte(t, OP_DWORD);
	aml_le(t, __builtin_bswap32(v), 4);
}

/* A body with its PkgLength (20.2.4), which counts its own bytes too. */
static void aml_package_body(struct text *t, const struct text *body)
{
	size_t n = body->len + 1;

	if (n <= 0x3f) {
		aml_byte(t, (unsigned)n);
	} else {
		unsigned follow = n + 1 <= 0xfff ? 1 : n + 2 <= 0xfffff ? 2 : 3;

		n += follow;
		aml_byte(t, follow << 6 | (n & 0xf));
		aml_le(t, n >> 4, follow);
	}
	text_add_bytes(t, text_str(body), body->len);
}

/* Opcode, length, then name and whatever else the head holds, then the body. */
static void aml_block(struct text *t, const char *path, const void *head, size_t head_len,
		      const struct text *body)
{
	struct text all = TEXT_INIT;

	aml_path(&all, path);
	text_add_bytes(&all, head, head_len);
	text_add_bytes(&all, text_str(body), body->len);
	aml_package_body(t, &all);
	t->failed |= all.failed | body->failed;
	text_free(&all);
}

void aml_scope(struct text *t, const char *path, const struct text *body)
{
	aml_byte(t, OP_SCOPE);
	aml_block(t, path, "", 0, body);
}

void aml_device(struct text *t, const char *name, const struct text *body)
{
	aml_byte(t, OP_EXT);
	aml_byte(t, EXT_DEVICE);
	aml_block(t, name, "", 0, body);
}

void aml_method(struct text *t, const char *name, unsigned args, const struct text *body)
{
	unsigned char flags = (unsigned char)(args | METHOD_SERIALIZED);

	aml_byte(t, OP_METHOD);
	aml_block(t, name, &flags, 1, body);
}

void aml_package(struct text *t, unsigned n, const struct text *elements)
{
	struct text all = TEXT_INIT;

	aml_byte(&all, n);
	text_add_bytes(&all, text_str(elements), elements->len);
	aml_byte(t, OP_PACKAGE);
	aml_package_body(t, &all);
	t->failed |= all.failed | elements->failed;
	text_free(&all);
}

void aml_resources(struct text *t, const struct text *descriptors)
{
	struct text all = TEXT_INIT;

	aml_integer(&all, descriptors->len + 2);
	text_add_bytes(&all, text_str(descriptors), descriptors->len);
	aml_byte(&all, 0x79); // end tag
	aml_byte(&all, 0);    // whose checksum need not be right
	aml_byte(t, OP_BUFFER);
	aml_package_body(t, &all);
	t->failed |= all.failed | descriptors->failed;
	text_free(&all);
}

void aml_io_region(struct text *t, const char *name, uint16_t port, uint8_t len)
{
	aml_byte(t, OP_EXT);
	aml_byte(t, EXT_REGION);
	aml_path(t, name);
	aml_byte(t, SPACE_IO);
	aml_integer(t, port);
	aml_integer(t, len);
}

void aml_byte_field(struct text *t, const char *region, const char *field)
{
	struct text unit = TEXT_INIT;
	unsigned char flags = FIELD_BYTE_ACCESS;

	text_add_bytes(&unit, field, 4);
	aml_byte(&unit, 8); // bits
	aml_byte(t, OP_EXT);
	aml_byte(t, EXT_FIELD);
	aml_block(t, region, &flags, 1, &unit);
	text_free(&unit);
}

void aml_local0_set(struct text *t, const char *name)
{
	aml_byte(t, OP_STORE);
	aml_path(t, name);
	aml_byte(t, OP_LOCAL0);
}

void aml_notify_if_local0(struct text *t, uint32_t mask, const char *path, uint8_t value)
{
	struct text all = TEXT_INIT;

	aml_byte(&all, OP_AND);
	aml_byte(&all, OP_LOCAL0);
	aml_integer(&all, mask);
	aml_byte(&all, OP_ZERO); // no target: the value is the condition
	aml_byte(&all, OP_NOTIFY);
	aml_path(&all, path);
	aml_integer(&all, value);
	aml_byte(t, OP_IF);
	aml_package_body(t, &all);
	t->failed |= all.failed;
	text_free(&all);
}

void aml_call_if_local0(struct text *t, uint32_t mask, const char *path)
{
	struct text all = TEXT_INIT;

	aml_op(&all, AML_AND);
	aml_local(&all, 0);
	aml_integer(&all, mask);
	aml_op(&all, AML_NOTHING);
	aml_path(&all, path);
	aml_if(t, &all);
	text_free(&all);
}

void aml_op(struct text *t, enum aml_op op)
{
	if (op > 0xff)
		aml_byte(t, op >> 8);
	aml_byte(t, op & 0xff);
}

void aml_local(struct text *t, unsigned n)
{
	aml_byte(t, OP_LOCAL0 + n);
}

void aml_arg(struct text *t, unsigned n)
{
	aml_byte(t, OP_ARG0 + n);
}

void aml_if(struct text *t, const struct text *condition_and_body)
{
	aml_byte(t, OP_IF);
	aml_package_body(t, condition_and_body);
	t->failed |= condition_and_body->failed;
}

void aml_while(struct text *t, const struct text *condition_and_body)
{
	aml_byte(t, OP_WHILE);
	aml_package_body(t, condition_and_body);
	t->failed |= condition_and_body->failed;
}

void aml_mutex(struct text *t, const char *name)
{
	aml_op(t, AML_MUTEX);
	aml_path(t, name);
	aml_byte(t, 0); // level
}

void aml_acquire(struct text *t, const char *mutex)
{
	aml_op(t, AML_ACQUIRE);
	aml_path(t, mutex);
	aml_le(t, 0xffff, 2);
}

void aml_buffer(struct text *t, const void *bytes, unsigned len)
{
	struct text all = TEXT_INIT;

	aml_integer(&all, len);
	text_add_bytes(&all, bytes, len);
	aml_byte(t, OP_BUFFER);
	aml_package_body(t, &all);
	t->failed |= all.failed;
	text_free(&all);
}

void aml_field(struct text *t, const char *region, unsigned width, unsigned n,
	       const char *const names[])
{
	struct text units = TEXT_INIT;
	unsigned char flags = (unsigned char)((width == 8    ? FIELD_BYTE_ACCESS
					       : width == 16 ? FIELD_BYTE_ACCESS + 1
							     : FIELD_BYTE_ACCESS + 2) |
					      FIELD_WRITE_ZEROS);

	for (unsigned i = 0; i < n; i++) {
		text_add_bytes(&units, names[i] ? names[i] : "", names[i] ? 4 : 1); // a NUL: a gap
		aml_byte(&units, width);
	}
	aml_byte(t, OP_EXT);
	aml_byte(t, EXT_FIELD);
	aml_block(t, region, &flags, 1, &units);
	t->failed |= units.failed;
	text_free(&units);
}

void aml_res_io(struct text *t, uint16_t port, uint8_t len)
{
	aml_byte(t, 0x47); // small item, I/O port descriptor, 7 bytes
	aml_byte(t, 1);	   // 16-bit decode
	aml_le(t, port, 2);
	aml_le(t, port, 2);
	aml_byte(t, 1); // alignment
	aml_byte(t, len);
}

void aml_res_irq(struct text *t, uint32_t gsi)
{
	aml_byte(t, 0x89); // large item, extended interrupt
	aml_le(t, 6, 2);
	aml_byte(t, 0x03); // consumer, edge, active high, exclusive
	aml_byte(t, 1);	   // one interrupt
	aml_le(t, gsi, 4);
}

/* An address space descriptor (6.4.3.5) of fields of `bytes` bytes: what a bridge produces. */
static void aml_res_space(struct text *t, unsigned item, unsigned bytes, unsigned type,
			  unsigned flags, uint64_t base, uint64_t len)
{
	aml_byte(t, item);
	aml_le(t, 3 + 5 * bytes, 2);
	aml_byte(t, type);
	aml_byte(t, 0x0c); // fixed at both ends, positive decode, producer
	aml_byte(t, flags);
	aml_le(t, 0, bytes); // granularity
	aml_le(t, base, bytes);
	aml_le(t, base + len - 1, bytes);
	aml_le(t, 0, bytes); // translation
	aml_le(t, len, bytes);
}

void aml_res_buses(struct text *t, uint16_t first, uint16_t last)
{
	aml_res_space(t, 0x88, 2, 2, 0, first, (uint64_t)last - first + 1);
}

void aml_res_window32(struct text *t, uint32_t base, uint32_t len)
{
	aml_res_space(t, 0x87, 4, 0, 1, base, len); // read-write
}

void aml_res_window64(struct text *t, uint64_t base, uint64_t len)
{
	aml_res_space(t, 0x8a, 8, 0, 1, base, len);
}

void aml_res_memory32(struct text *t, uint32_t base, uint32_t len)
{
	aml_byte(t, 0x86);
	aml_le(t, 9, 2);
	aml_byte(t, 1); // read-write
	aml_le(t, base, 4);
	aml_le(t, len, 4);
}
