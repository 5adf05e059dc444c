/*
 * acpi: the ACPI tables of a machine: RSDP, XSDT, FADT, MADT, DSDT (ACPI 6.4, chapter 5).
 *
 * The machine is of the hardware-reduced model: no PM timer, no fixed power button, no legacy
 * interrupt controller or timer to probe. Sleep and reset registers and the Generic Event Device
 * are pm.h's.
 */
#ifndef VMM_ACPI_H
#define VMM_ACPI_H

#include <stdint.h>

#include "backends/err.h"
#include "backends/text.h"
#include "vmm/guestmem.h"

#define ACPI_IOAPIC_BASE 0xfec00000u
#define ACPI_LAPIC_BASE	 0xfee00000u

/* Writes the tables to at most room bytes at gpa, RSDP first; 16-byte aligned. */
int acpi_build(const struct guestmem *m, uint64_t gpa, uint64_t room, unsigned cpus, struct err *e);

/* Appends the DSDT, header and all; for tests. */
void acpi_dsdt(struct text *t);

#endif
