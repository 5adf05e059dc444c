/*
 * acpi_pci: the PCI bus in the DSDT, with a slot each for what comes and goes, and the body of the
 * MCFG table (PCI Firmware 3.0, 4.1.2). The registers are pci.h's.
 */
#ifndef VMM_BOOT_ACPI_PCI_H
#define VMM_BOOT_ACPI_PCI_H

#include "vmm/boot/acpi.h"

#define ACPI_PCI_SCAN "\\_SB_.PCI0.SCAN" /* the method that tells slots what has happened */

/* Into \_SB. */
void acpi_pci(struct text *t, const struct acpi_machine *machine);
void acpi_pci_mcfg(struct text *t);

#endif
