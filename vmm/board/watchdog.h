/*
 * struct watchdog: a timer that a guest must wind up again and again, described to it by ACPI's
 * Watchdog Action Table (Microsoft's "Hardware Watchdog Timers Design Specification"), for which
 * Linux and Windows have their drivers (wdat_wdt). It counts in units of 100 ms while the machine
 * runs; when it comes to 0, GUEST_WATCHDOG is asked, once until the guest winds it up again.
 */
#ifndef VMM_BOARD_WATCHDOG_H
#define VMM_BOARD_WATCHDOG_H

#include "vmm/device.h"

struct event_base;
struct watchdog;

#define WATCHDOG_PORT	   0x610
#define WATCHDOG_PORTS	   8
#define WATCHDOG_COUNT	   0 /* two bytes: units from when it is wound up to 0 */
#define WATCHDOG_LEFT	   2 /* two bytes, read: units that are left now */
#define WATCHDOG_CONTROL   4 /* bit 0: it runs */
#define WATCHDOG_STATUS	   5 /* bit 0: it has come to 0; write 0 to clear */
#define WATCHDOG_WIND	   6 /* write: from WATCHDOG_COUNT again */
#define WATCHDOG_UNIT_MS   100
#define WATCHDOG_COUNT_MAX 0xffff

/* Its clock is on loop; wishes are asked on the loop thread. */
int watchdog_new(struct event_base *loop, struct guest_wishes wishes, struct watchdog **ret,
		 struct err *e);
struct device *watchdog_device(struct watchdog *w);

/* The machine stands still, or goes on; loop thread. A new one stands still. */
void watchdog_hold(struct watchdog *w, bool hold);

#endif
