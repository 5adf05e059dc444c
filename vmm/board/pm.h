/*
 * struct pm: power management as ACPI's hardware-reduced model has it: the sleep control and
 * status registers, the reset register, and the event register behind the Generic Event Device
 * through which the power button (and later hotplug) is told. acpi.c describes it to the guest.
 */
#ifndef VMM_BOARD_PM_H
#define VMM_BOARD_PM_H

#include "vmm/device.h"

/* Region 0: four byte registers. */
#define PM_PORT	       0x600
#define PM_PORTS       4
#define PM_SLEEP_CTL   0 /* ACPI 6.4, 4.8.3.7: SLP_TYP in bits 2 to 4, SLP_EN in bit 5 */
#define PM_SLEEP_STS   1 /* bit 7: woken up */
#define PM_EVENTS      2 /* which events happened; reading it clears them */
#define PM_RESET       3 /* the reset register that ACPI and the reset vector use; as the other */
#define PM_S5	       5 /* the SLP_TYP that means off; \_S5 in the DSDT */
#define PM_EVENT_POWER 0x01
#define PM_EVENT_CPUS  0x02 /* vCPUs have come or shall go: cpuplug.h */
#define PM_EVENT_PCI   0x04 /* so have devices: pci.h */
#define PM_EVENT_GENID 0x08 /* the VM generation id is another */

/*
 * Region 1: the reset register where PC chipsets have it. A write there may be kept for a moment,
 * since it is within PCI's index register (indexes.h).
 */
#define PM_RESET_PORT  0xcf9
#define PM_RESET_VALUE 0x06

#define PM_GSI 9 /* edge triggered */

struct pm;

int pm_new(struct irq irq, struct guest_wishes wishes, struct pm **ret, struct err *e);
struct device *pm_device(struct pm *p);

/* Tells the guest of an event, PM_EVENT_POWER for the button; any thread. */
void pm_event(struct pm *p, uint8_t event);

#endif
