/*
 * struct ioapic: the I/O interrupt controller (Intel 82093AA, with the EOI register of later ones):
 * lines in, messages to local APICs out. KVM has the local APICs only ("split irqchip"): what it
 * would emulate beside them, the PIC and this, are the parts of it that guests broke most often,
 * and its own IOAPIC cannot name an APIC id above 255.
 *
 * Every line of this machine is edge triggered. An entry that a guest sets to level is treated as
 * edge, and its Remote IRR stays 0. Bits 49 to 55 of an entry hold bits 8 to 14 of the destination,
 * by which a guest reaches ids above 255 (KVM_FEATURE_MSI_EXT_DEST_ID).
 */
#ifndef VMM_BOARD_IOAPIC_H
#define VMM_BOARD_IOAPIC_H

#include "vmm/device.h"

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_LEN  0x1000u
#define IOAPIC_PINS 24

struct ioapic;

/* Delivers a message; any thread, with the device's lock held. */
typedef void ioapic_msi(void *arg, uint64_t address, uint32_t data);

int ioapic_new(ioapic_msi *msi, void *arg, struct ioapic **ret, struct err *e);
struct device *ioapic_device(struct ioapic *i);

/* Sets a line; any thread. */
void ioapic_set(struct ioapic *i, uint32_t pin, bool level);

#endif
