/*
 * acpi_cpus: vCPUs in the DSDT: a processor device each, and what a guest runs when some have come
 * or shall go: \_SB.CPUS.CSCN, which asks the registers of cpuplug.h (ACPI 6.4, 8.4 and 6.3).
 */
#ifndef VMM_BOOT_ACPI_CPUS_H
#define VMM_BOOT_ACPI_CPUS_H

#include "backends/base/text.h"

struct acpi_machine;

#define ACPI_CPUS_SCAN "\\_SB_.CPUS.CSCN"

/* Appends Device (CPUS); for the scope \_SB. */
void acpi_cpus(struct text *t, const struct acpi_machine *machine);

#endif
