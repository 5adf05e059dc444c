/*
 * aml: writes ACPI Machine Language, as much of it as the DSDT needs (ACPI 6.4, chapter 20).
 *
 * Pieces are appended to a struct text as bytes. Objects with a body take it as a finished
 * struct text, since AML puts a body's length before it. Names are four characters ("COM1");
 * paths may start with a backslash and have dots. A failed allocation shows in text_failed().
 */
#ifndef VMM_BOOT_AML_H
#define VMM_BOOT_AML_H

#include <stdint.h>

#include "backends/base/text.h"

void aml_integer(struct text *t, uint64_t v);
void aml_string(struct text *t, const char *s);
void aml_path(struct text *t, const char *path);

/* Name (NAME, ...): the value is appended by the caller right after. */
void aml_name(struct text *t, const char *name);
/* An EISA id such as "PNP0501" as the integer that _HID takes. */
void aml_eisaid(struct text *t, const char *id);

void aml_scope(struct text *t, const char *path, const struct text *body);
void aml_device(struct text *t, const char *name, const struct text *body);
void aml_method(struct text *t, const char *name, unsigned args, const struct text *body);
void aml_package(struct text *t, unsigned n, const struct text *elements);
/* ResourceTemplate: descriptors from the aml_res functions, as a buffer with an end tag. */
void aml_resources(struct text *t, const struct text *descriptors);

/* OperationRegion (NAME, SystemIO, port, len), and Field with one 8-bit unit of that name. */
void aml_io_region(struct text *t, const char *name, uint16_t port, uint8_t len);
void aml_byte_field(struct text *t, const char *region, const char *field);

/* Local0 = NAME; If (Local0 & mask) { Notify (path, value) }. */
void aml_local0_set(struct text *t, const char *name);
void aml_notify_if_local0(struct text *t, uint32_t mask, const char *path, uint8_t value);
/* Local0 is as above: If (Local0 & mask) { PATH () }. */
void aml_call_if_local0(struct text *t, uint32_t mask, const char *path);

/*
 * Code of methods, operator by operator: aml_op() and then its operands, each of which is again an
 * operator, a constant, a path or one of these two. aml_if() and aml_while() take what follows
 * the condition in the same text as the condition.
 */
enum aml_op {
	AML_STORE = 0x70,     /* source, target */
	AML_AND = 0x7b,	      /* a, b, target */
	AML_SUBTRACT = 0x74,  /* a, b, target */
	AML_ACQUIRE = 0x5b23, /* mutex; then the time-out, two bytes: see aml_acquire() */
	AML_RELEASE = 0x5b27, /* mutex */
	AML_NOTIFY = 0x86,    /* object, value */
	AML_EQUAL = 0x93,     /* a, b */
	AML_RETURN = 0xa4,    /* value */
	AML_BREAK = 0xa5,
	AML_DWORD_FIELD = 0x8a, /* buffer, byte index, name */
	AML_MUTEX = 0x5b01,	/* name; then the level, one byte: see aml_mutex() */
	AML_NOTHING = 0x00,	/* where a target may be left out */
};

void aml_op(struct text *t, enum aml_op op);
void aml_local(struct text *t, unsigned n);
void aml_arg(struct text *t, unsigned n);
void aml_if(struct text *t, const struct text *condition_and_body);
void aml_while(struct text *t, const struct text *condition_and_body);
void aml_mutex(struct text *t, const char *name);
/* Acquire, waiting for ever. */
void aml_acquire(struct text *t, const char *mutex);
void aml_buffer(struct text *t, const void *bytes, unsigned len);

/* Units of one width, in bits, one after the other; a NULL name leaves its unit out. */
void aml_field(struct text *t, const char *region, unsigned width, unsigned n,
	       const char *const names[]);

void aml_res_io(struct text *t, uint16_t port, uint8_t len);
/* Extended interrupt: edge triggered, active high, exclusive. */
void aml_res_irq(struct text *t, uint32_t gsi);
/* What a bridge passes on: bus numbers; memory that is read and written. */
void aml_res_buses(struct text *t, uint16_t first, uint16_t last);
void aml_res_window32(struct text *t, uint32_t base, uint32_t len);
void aml_res_window64(struct text *t, uint64_t base, uint64_t len);
/* Memory at a fixed place. */
void aml_res_memory32(struct text *t, uint32_t base, uint32_t len);

#endif
