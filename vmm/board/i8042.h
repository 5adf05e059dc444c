/*
 * struct i8042: the keyboard controller's two ports, for the one thing that guests still use
 * them for: pulsing the reset line (command 0xfe). There is no keyboard and no mouse, and ACPI
 * says so; a driver that probes all the same is answered at once, so that it need not time out.
 */
#ifndef VMM_BOARD_I8042_H
#define VMM_BOARD_I8042_H

#include "vmm/device.h"

#define I8042_DATA    0x60 /* region 0 */
#define I8042_COMMAND 0x64 /* region 1 */

int i8042_new(struct guest_wishes wishes, struct device **ret, struct err *e);

#endif
