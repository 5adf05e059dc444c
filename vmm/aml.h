/*
 * aml: writes ACPI Machine Language, as much of it as the DSDT needs (ACPI 6.4, chapter 20).
 *
 * Pieces are appended to a struct text as bytes. Objects with a body take it as a finished
 * struct text, since AML puts a body's length before it. Names are four characters ("COM1");
 * paths may start with a backslash and have dots. A failed allocation shows in text_failed().
 */
#ifndef VMM_AML_H
#define VMM_AML_H

#include <stdint.h>

#include "backends/text.h"

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
void aml_notify_if_local0(struct text *t, uint8_t mask, const char *path, uint8_t value);

void aml_res_io(struct text *t, uint16_t port, uint8_t len);
/* Extended interrupt: edge triggered, active high, exclusive. */
void aml_res_irq(struct text *t, uint32_t gsi);

#endif
