/*
 * struct pvpanic: the port by which a guest's kernel says that it panicked (QEMU's
 * docs/specs/pvpanic; ACPI id QEMU0001, which Linux's and Windows' drivers look for).
 */
#ifndef VMM_BOARD_PVPANIC_H
#define VMM_BOARD_PVPANIC_H

#include "vmm/device.h"

#define PVPANIC_PORT  0x505 /* one byte; reading tells the events that there are */
#define PVPANIC_PORTS 1

#define PVPANIC_PANICKED 0x01

int pvpanic_new(struct guest_wishes wishes, struct device **ret, struct err *e);

#endif
