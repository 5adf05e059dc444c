/*
 * acpi: the ACPI tables of a machine: RSDP, XSDT, FADT, MADT, DSDT (ACPI 6.4, chapter 5).
 *
 * The machine is of the hardware-reduced model: no PM timer, no fixed power button, no legacy
 * interrupt controller or timer to probe. Sleep and reset registers and the Generic Event Device
 * are pm.h's.
 */
#ifndef VMM_BOOT_ACPI_H
#define VMM_BOOT_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/base/err.h"
#include "backends/base/text.h"
#include "vmm/cpu/cpu_topology.h"
#include "vmm/guestmem.h"

/* Where the tables lie, and behind them the RSDP, where a scan for it looks. */
#define ACPI_TABLES 0xc0000u
#define ACPI_RSDP   0xfff00u
#define ACPI_GENID  0xffe00u /* 16 bytes: the VM generation id, put there by boot.c */

#define ACPI_LAPIC_BASE 0xfee00000u

struct numa;

/* What of a machine the tables tell. */
struct acpi_machine {
	unsigned cpus;	  /* vCPUs that there may be */
	unsigned present; /* of which the first are there */
	const struct cpu_topology *topology;
	bool watchdog;		 /* watchdog.h's is there */
	bool uart;		 /* so is uart.h's */
	const struct numa *numa; /* NULL, or with no nodes: neither SRAT nor SLIT */
	bool pci;		 /* it has a PCI bus (pci.h) */
	uint64_t window64;	 /* of the PCI bus, or 0 */
};

/* Writes the tables. */
int acpi_build(const struct guestmem *m, const struct acpi_machine *machine, struct err *e);

/* Appends the DSDT, header and all; for tests. */
void acpi_dsdt(struct text *t, const struct acpi_machine *machine);

#endif
