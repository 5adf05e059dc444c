/*
 * struct rtc: the CMOS clock and memory (MC146818) at its index and data port.
 *
 * It tells the host's time in UTC, as BCD and in 24-hour form. Setting it moves an offset of this
 * machine only. No alarms and no periodic interrupt: guests have better timers.
 */
#ifndef VMM_BOARD_RTC_H
#define VMM_BOARD_RTC_H

#include "vmm/device.h"

#define RTC_PORT  0x70
#define RTC_PORTS 2

int rtc_new(struct device **ret, struct err *e);

#endif
