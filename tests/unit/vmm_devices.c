/* The devices on their own: registers, interrupts, and that a saved state loads into a fresh one.
 */
#include "tests/unit/tap.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "vmm/board/cpuplug.h"
#include "vmm/board/i8042.h"
#include "vmm/board/ioapic.h"
#include "vmm/board/iobus.h"
#include "vmm/board/msi.h"
#include "vmm/board/pm.h"
#include "vmm/board/pvpanic.h"
#include "vmm/board/rtc.h"
#include "vmm/board/uart.h"
#include "vmm/board/watchdog.h"
#include "vmm/guestmem.h"

/* What a device did to the outside. */
struct outside {
	bool level;
	int edges; /* rising */
	char sent[256];
	size_t nsent;
	int wishes;
	enum guest_wish wish;
};

static void on_irq(void *arg, uint32_t gsi, bool level)
{
	struct outside *o = arg;

	o->edges += level && !o->level;
	o->level = level;
}

static void on_sent(void *arg, const void *data, size_t len)
{
	struct outside *o = arg;

	for (size_t i = 0; i < len && o->nsent < sizeof(o->sent); i++)
		o->sent[o->nsent++] = ((const char *)data)[i];
}

static void on_wish(void *arg, enum guest_wish wish)
{
	struct outside *o = arg;

	o->wishes++;
	o->wish = wish;
}

static uint8_t in(struct device *d, unsigned region, uint64_t offset)
{
	return (uint8_t)d->ops->read(d, region, offset, 1);
}

static void out(struct device *d, unsigned region, uint64_t offset, uint8_t v)
{
	d->ops->write(d, region, offset, 1, v);
}

static struct uart *make_uart(struct outside *o)
{
	struct uart *u;

	if (uart_new((struct irq){ on_irq, o, 4 }, on_sent, o, &u, NULL) < 0)
		abort();
	return u;
}

static void test_uart(void)
{
	struct outside o = { 0 };
	struct uart *u = make_uart(&o);
	struct device *d = uart_device(u);
	char text[100];

	ok(in(d, 0, 5) == 0x60 && in(d, 0, 2) == 0x01, "uart: empty, no interrupt");
	out(d, 0, 0, 'A');
	ok(o.nsent == 1 && o.sent[0] == 'A' && !o.level,
	   "uart: a byte is sent, interrupts are off");
	out(d, 0, 1, 0x02);
	ok(o.level && in(d, 0, 2) == 0x02,
	   "uart: enabling the transmitter's interrupt makes it due");
	ok(!o.level && in(d, 0, 2) == 0x01, "uart: reading the cause acknowledges it");
	out(d, 0, 0, 'B');
	ok(o.level, "uart: sending makes it due again");
	out(d, 0, 1, 0x00);
	ok(!o.level, "uart: switching it off takes the line down");
	out(d, 0, 1, 0x01);
	out(d, 0, 2, 0x81); // FIFO, trigger at 8
	ok(uart_input(u, "0123456", 7) == 7 && o.level && in(d, 0, 2) == 0xcc,
	   "uart: seven bytes wait: timeout interrupt");
	uart_input(u, "7", 1);
	ok(in(d, 0, 2) == 0xc4, "uart: eight bytes wait: data interrupt");
	for (int i = 0; i < 8; i++)
		text[i] = (char)in(d, 0, 0);
	ok(!memcmp(text, "01234567", 8) && !o.level && !(in(d, 0, 5) & 1), "uart: they are read");
	memset(text, 'x', sizeof(text));
	uart_input(u, text, sizeof(text));
	int n = 0;
	while (in(d, 0, 5) & 1)
		n += in(d, 0, 0) == 'x';
	ok(n == 100 && !o.level, "uart: what does not fit into the FIFO waits behind it");
	out(d, 0, 3, 0x80);
	out(d, 0, 0, 0x34);
	out(d, 0, 1, 0x12);
	ok(in(d, 0, 0) == 0x34 && in(d, 0, 1) == 0x12 && o.nsent == 2, "uart: the divisor latch");
	out(d, 0, 3, 0x03);
	ok(in(d, 0, 1) == 0x01, "uart: is apart from the other registers");
	out(d, 0, 4, 0x1a);
	ok((in(d, 0, 6) & 0xf0) == 0x90, "uart: loopback of the modem lines, as drivers probe it");
	uart_input(u, "y", 1);
	out(d, 0, 0, 'L');
	ok(o.nsent == 2 && in(d, 0, 0) == 'L' && !(in(d, 0, 5) & 1),
	   "uart: loopback of data, nothing leaves or enters");
	for (int i = 0; i < 17; i++)
		out(d, 0, 0, 'o');
	ok(in(d, 0, 5) & 2 && !(in(d, 0, 5) & 2), "uart: overrun is told once");
	out(d, 0, 2, 0x03);
	out(d, 0, 4, 0x0b);
	ok(in(d, 0, 0) == 'y', "uart: after loopback what was typed arrives");
	out(d, 0, 7, 0x5a);
	ok(in(d, 0, 7) == 0x5a, "uart: scratch");
	d->ops->free(d);
}

static void test_pm(void)
{
	struct outside o = { 0 };
	struct pm *p;
	struct device *d;

	if (pm_new((struct irq){ on_irq, &o, 9 }, (struct guest_wishes){ on_wish, &o }, &p, NULL) <
	    0)
		abort();
	d = pm_device(p);
	out(d, 0, PM_SLEEP_CTL, PM_S5 << 2);
	out(d, 0, PM_SLEEP_CTL, 0x20 | 3 << 2);
	ok(o.wishes == 0, "pm: another state, or no enable bit, is not off");
	out(d, 0, PM_SLEEP_CTL, 0x20 | PM_S5 << 2);
	ok(o.wishes == 1 && o.wish == GUEST_POWEROFF, "pm: S5 is off");
	out(d, 1, 0, 0x02);
	ok(o.wishes == 1, "pm: the reset register waits for bit 2");
	out(d, 1, 0, 0x06);
	out(d, 1, 0, 0x06);
	ok(o.wishes == 2 && o.wish == GUEST_RESET, "pm: its rising edge resets");
	pm_event(p, PM_EVENT_POWER);
	pm_event(p, PM_EVENT_POWER);
	ok(o.edges == 2 && !o.level, "pm: each press is an edge");
	ok(in(d, 0, PM_EVENTS) == PM_EVENT_POWER && in(d, 0, PM_EVENTS) == 0,
	   "pm: events are read once");
	d->ops->free(d);
}

static void test_i8042(void)
{
	struct outside o = { 0 };
	struct device *d;

	if (i8042_new((struct guest_wishes){ on_wish, &o }, &d, NULL) < 0)
		abort();
	ok(!(in(d, 1, 0) & 3), "i8042: ready, nothing to read");
	out(d, 1, 0, 0xaa);
	ok((in(d, 1, 0) & 1) && in(d, 0, 0) == 0x55 && !(in(d, 1, 0) & 1), "i8042: self test");
	out(d, 1, 0, 0xff);
	ok(o.wishes == 0, "i8042: pulsing no line");
	out(d, 1, 0, 0xfe);
	ok(o.wishes == 1 && o.wish == GUEST_RESET, "i8042: pulsing the reset line");
	d->ops->free(d);
}

static uint8_t cmos(struct device *d, uint8_t index)
{
	out(d, 0, 0, index);
	return in(d, 0, 1);
}

static void set_cmos(struct device *d, uint8_t index, uint8_t v)
{
	out(d, 0, 0, index);
	out(d, 0, 1, v);
}

static int bcd(uint8_t v)
{
	return (v >> 4) * 10 + (v & 15);
}

/* Reads the clock as the data sheet asks: outside of an update, twice the same second. */
static time_t rtc_time(struct device *d)
{
	struct tm tm;
	uint8_t second;

	do {
		while (cmos(d, 10) & 0x80)
			;
		memset(&tm, 0, sizeof(tm));
		second = cmos(d, 0);
		tm.tm_sec = bcd(second);
		tm.tm_min = bcd(cmos(d, 2));
		tm.tm_hour = bcd(cmos(d, 4));
		tm.tm_mday = bcd(cmos(d, 7));
		tm.tm_mon = bcd(cmos(d, 8)) - 1;
		tm.tm_year = bcd(cmos(d, 0x32)) * 100 + bcd(cmos(d, 9)) - 1900;
	} while (cmos(d, 0) != second);
	return timegm(&tm);
}

static bool near(time_t a, time_t b)
{
	return a - b <= 1 && b - a <= 1;
}

static void test_rtc(void)
{
	struct device *d;
	time_t t = time(NULL);

	if (rtc_new(&d, NULL) < 0)
		abort();
	ok(near(rtc_time(d), t), "rtc: the host's time in UTC");
	ok(cmos(d, 11) == 0x02 && cmos(d, 13) == 0x80, "rtc: BCD, 24 hours, valid");
	set_cmos(d, 11, 0x82);
	// 2031-07-04 05:06:07
	const uint8_t set[][2] = { { 0, 0x07 }, { 2, 0x06 }, { 4, 0x05 },   { 7, 0x04 },
				   { 8, 0x07 }, { 9, 0x31 }, { 0x32, 0x20 } };
	for (size_t i = 0; i < sizeof(set) / sizeof(set[0]); i++)
		set_cmos(d, set[i][0], set[i][1]);
	ok(cmos(d, 0) == 0x07 && !(cmos(d, 10) & 0x80), "rtc: stands still while it is set");
	set_cmos(d, 11, 0x02);
	struct tm tm = {
		.tm_sec = 7, .tm_min = 6, .tm_hour = 5, .tm_mday = 4, .tm_mon = 6, .tm_year = 131
	};
	ok(near(rtc_time(d), timegm(&tm)), "rtc: goes on from what was set");
	set_cmos(d, 0x40, 0x77);
	d->ops->reset(d);
	ok(near(rtc_time(d), timegm(&tm)) && cmos(d, 0x40) == 0x77, "rtc: a reset keeps them");
	ok(in(d, 0, 0) == 0xff, "rtc: the index is write only");
	set_cmos(d, 11, 0x00); // 12 hours
	ok((cmos(d, 4) & 0x7f) == 0x05 && !(cmos(d, 4) & 0x80), "rtc: 5 in the morning");
	d->ops->free(d);
}

static struct event_base *loop;

/* ---- ioapic, cpuplug, pvpanic, watchdog ---- */

static void on_msi(void *arg, uint64_t address, uint32_t data)
{
	on_sent(arg, &address, sizeof(address));
	on_sent(arg, &data, sizeof(data));
}

static void ioapic_put(struct device *d, uint32_t index, uint32_t v)
{
	d->ops->write(d, 0, 0, 4, index);
	d->ops->write(d, 0, 0x10, 4, v);
}

static uint32_t ioapic_get(struct device *d, uint32_t index)
{
	d->ops->write(d, 0, 0, 4, index);
	return (uint32_t)d->ops->read(d, 0, 0x10, 4);
}

static bool was_sent(struct outside *o, uint64_t address, uint32_t data)
{
	bool same =
		o->nsent == 12 && !memcmp(o->sent, &address, 8) && !memcmp(o->sent + 8, &data, 4);

	o->nsent = 0;
	return same;
}

static void test_ioapic(void)
{
	struct outside o = { 0 };
	struct ioapic *a;
	struct device *d;

	if (ioapic_new(on_msi, &o, &a, NULL) < 0)
		abort();
	d = ioapic_device(a);
	ok(ioapic_get(d, 1) == 0x170020 && ioapic_get(d, 0x10) == 0x10000 &&
		   ioapic_get(d, 0x40) == 0,
	   "ioapic: 24 entries, all masked");
	ioapic_set(a, 4, true);
	ok(o.nsent == 0, "ioapic: a masked line tells nobody");
	ioapic_put(d, 0x19, 0x03000000);
	ioapic_put(d, 0x18, 0x31);
	ok(was_sent(&o, 0xfee03000, 0x31), "ioapic: but is told when the mask goes");
	ioapic_set(a, 4, true);
	ok(o.nsent == 0, "ioapic: a line that stays high is no edge");
	ioapic_set(a, 4, false);
	ioapic_set(a, 4, true);
	ok(was_sent(&o, 0xfee03000, 0x31), "ioapic: one that rises is");
	ioapic_put(d, 0x1b, 0x01020000); // APIC id 257, as a guest writes it
	ioapic_put(d, 0x1a, 0x0932);	 // logical, lowest priority
	ioapic_set(a, 5, true);
	ok(was_sent(&o, 0xfee01000 | 1 << 5 | 1 << 2, 0x132), "ioapic: an id of 15 bits");
	ok(msi_address_for_kvm(0xfee01020) == 0x100fee01000ull, "msi: as KVM takes it");
	ioapic_set(a, 24, true);
	ioapic_set(a, ~0u, true);
	ioapic_put(d, 0x40, 0);
	ioapic_put(d, 0xff, 0);
	ok(o.nsent == 0, "ioapic: what is outside is ignored");
	d->ops->free(d);
}

static const struct cpu_topology four_of_eight = { 1, 4, 2 };

static void on_ejected(void *arg, unsigned vcpu)
{
	struct outside *o = arg;

	o->wishes++;
	o->sent[0] = (char)vcpu;
}

static uint32_t plug_get(struct device *d, uint32_t vcpu, uint64_t offset, unsigned size)
{
	d->ops->write(d, 0, CPUPLUG_SELECT, 4, vcpu);
	return (uint32_t)d->ops->read(d, 0, offset, size);
}

static void test_cpuplug(void)
{
	struct cpuplug_host host = { .ejected = on_ejected };
	struct outside o = { 0 };
	struct cpuplug *c;
	struct device *d;

	host.arg = &o;
	if (cpuplug_new(8, 2, &four_of_eight, host, &c, NULL) < 0)
		abort();
	d = cpuplug_device(c);
	ok(plug_get(d, 1, CPUPLUG_FLAGS, 1) == 1 && plug_get(d, 2, CPUPLUG_FLAGS, 1) == 0 &&
		   plug_get(d, 5, CPUPLUG_APIC, 4) == 5 && plug_get(d, 0, CPUPLUG_NEXT, 4) == ~0u,
	   "cpuplug: two are there, nothing happened");
	cpuplug_add(c, 2);
	ok(plug_get(d, 0, CPUPLUG_NEXT, 4) == 2 && plug_get(d, 2, CPUPLUG_FLAGS, 1) == 3,
	   "cpuplug: one has come");
	out(d, 0, CPUPLUG_FLAGS, CPUPLUG_COMES);
	ok(plug_get(d, 2, CPUPLUG_NEXT, 4) == ~0u && cpuplug_present(c, 2), "cpuplug: noted");
	cpuplug_ask(c, 2);
	cpuplug_ask(c, 7);
	ok(plug_get(d, 2, CPUPLUG_FLAGS, 1) == 5 && plug_get(d, 7, CPUPLUG_FLAGS, 1) == 0,
	   "cpuplug: one shall go; one that is not there need not");
	out(d, 0, CPUPLUG_SELECT, 2);
	plug_get(d, 2, CPUPLUG_FLAGS, 1);
	out(d, 0, CPUPLUG_FLAGS, CPUPLUG_EJECT);
	ok(o.wishes == 1 && o.sent[0] == 2 && !cpuplug_present(c, 2), "cpuplug: it went");
	out(d, 0, CPUPLUG_FLAGS, CPUPLUG_EJECT);
	plug_get(d, 0, CPUPLUG_FLAGS, 1);
	out(d, 0, CPUPLUG_FLAGS, CPUPLUG_EJECT);
	plug_get(d, 8, CPUPLUG_FLAGS, 1);
	out(d, 0, CPUPLUG_FLAGS, 0xff);
	plug_get(d, ~0u, CPUPLUG_FLAGS, 1);
	out(d, 0, CPUPLUG_FLAGS, 0xff);
	ok(o.wishes == 1 && cpuplug_present(c, 0),
	   "cpuplug: nothing else can be ejected, the first vCPU least of all");
	d->ops->free(d);
}

static void test_watchdog(void)
{
	struct outside o = { 0 };
	struct watchdog *w;
	struct device *d;

	if (watchdog_new(loop, (struct guest_wishes){ on_wish, &o }, &w, NULL) < 0)
		abort();
	d = watchdog_device(w);
	d->ops->write(d, 0, WATCHDOG_COUNT, 2, 2);
	out(d, 0, WATCHDOG_CONTROL, 1);
	ok(d->ops->read(d, 0, WATCHDOG_LEFT, 2) == 2,
	   "watchdog: of a machine that stands still waits");
	usleep(250000);
	event_base_loop(loop, EVLOOP_NONBLOCK);
	ok(o.wishes == 0 && d->ops->read(d, 0, WATCHDOG_LEFT, 2) == 2, "watchdog: however long");
	watchdog_hold(w, false);
	while (o.wishes == 0)
		event_base_loop(loop, EVLOOP_ONCE);
	ok(o.wish == GUEST_WATCHDOG && in(d, 0, WATCHDOG_STATUS) == 1, "watchdog: comes to 0");
	usleep(250000);
	event_base_loop(loop, EVLOOP_NONBLOCK);
	ok(o.wishes == 1, "watchdog: once");
	d->ops->reset(d);
	ok(in(d, 0, WATCHDOG_STATUS) == 1 && in(d, 0, WATCHDOG_CONTROL) == 0,
	   "watchdog: a reset stops it, and the guest learns why there was one");
	out(d, 0, WATCHDOG_STATUS, 0);
	ok(in(d, 0, WATCHDOG_STATUS) == 0, "watchdog: which it may clear");
	d->ops->write(d, 0, WATCHDOG_COUNT, 2, 3);
	out(d, 0, WATCHDOG_CONTROL, 1);
	out(d, 0, WATCHDOG_CONTROL, 0);
	usleep(350000);
	event_base_loop(loop, EVLOOP_NONBLOCK);
	ok(o.wishes == 1, "watchdog: one that is stopped is silent");
	d->ops->free(d);
}

static void test_pvpanic(void)
{
	struct outside o = { 0 };
	struct device *d;

	if (pvpanic_new((struct guest_wishes){ on_wish, &o }, &d, NULL) < 0)
		abort();
	out(d, 0, 0, 0xfe);
	ok(o.wishes == 0 && in(d, 0, 0) == 1, "pvpanic: knows one event");
	out(d, 0, 0, 1);
	ok(o.wishes == 1 && o.wish == GUEST_PANICKED, "pvpanic: which it tells");
	d->ops->free(d);
}

/* ---- save and load ---- */

enum { UART, PM, I8042, RTC, IOAPIC, CPUPLUG, PVPANIC, WATCHDOG, KINDS };

static struct device *make(int kind, struct outside *o)
{
	struct guest_wishes wishes = { on_wish, o };
	struct device *d = NULL;
	struct cpuplug_host host = { on_ejected, o };
	struct watchdog *w;
	struct cpuplug *c;
	struct ioapic *a;
	struct pm *p;

	switch (kind) {
	case IOAPIC:
		return ioapic_new(on_msi, o, &a, NULL) < 0 ? NULL : ioapic_device(a);
	case CPUPLUG:
		return cpuplug_new(5, 2, &four_of_eight, host, &c, NULL) < 0 ? NULL
									     : cpuplug_device(c);
	case PVPANIC:
		return pvpanic_new(wishes, &d, NULL) < 0 ? NULL : d;
	case WATCHDOG:
		return watchdog_new(loop, wishes, &w, NULL) < 0 ? NULL : watchdog_device(w);
	case UART:
		return uart_device(make_uart(o));
	case PM:
		if (pm_new((struct irq){ on_irq, o, 9 }, wishes, &p, NULL) < 0)
			abort();
		return pm_device(p);
	case I8042:
		return i8042_new(wishes, &d, NULL) < 0 ? NULL : d;
	default:
		return rtc_new(&d, NULL) < 0 ? NULL : d;
	}
}

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 8;
}

/* What happens to a device from behind: embedded first, it is its owner. */
static void poke(struct device *d, int kind, unsigned *seed)
{
	if (kind == IOAPIC)
		ioapic_set((struct ioapic *)d, next(seed) % 26, next(seed) % 2);
	else if (kind == CPUPLUG && next(seed) % 2)
		cpuplug_ask((struct cpuplug *)d, next(seed) % 5);
	else if (kind == CPUPLUG)
		cpuplug_add((struct cpuplug *)d, next(seed) % 5);
}

/* Some accesses that a seed chooses; what was read comes back as a hash. */
static unsigned play(struct device *d, int kind, unsigned seed, int steps)
{
	static const uint64_t offsets[KINDS] = { 8, 4, 1, 2, 0x20, 16, 1, 8 };
	unsigned hash = 0;

	for (int i = 0; i < steps; i++) {
		unsigned region = kind == PM || kind == I8042 ? next(&seed) % 2 : 0;
		uint64_t offset = region ? 0 : next(&seed) % offsets[kind];
		unsigned size = 1u << next(&seed) % 3, v = next(&seed);

		if (size > d->ops->access_max)
			size = 1;
		offset &= ~(uint64_t)(size - 1);
		if (next(&seed) % 4 == 0)
			poke(d, kind, &seed);
		if (next(&seed) % 2)
			v %= 0x40; // indexes and bits that mean something
		if (kind == RTC && offset == 0 && (v & 0x7f) < 14)
			v = 0x40; // the clock goes on between two readings: memory only
		if (next(&seed) % 2)
			d->ops->write(d, region, offset, size, size == 4 ? v : v & 0xffff);
		else
			hash = hash * 31 + (unsigned)d->ops->read(d, region, offset, size);
	}
	return hash;
}

static void test_save_load(int kind)
{
	struct record r, r2;
	struct err e = { 0 };
	int same = 0, changed = 0;
	const char *name = "";

	for (unsigned seed = 1; seed <= 200; seed++) {
		struct outside oa = { 0 }, ob = { 0 };
		struct device *a = make(kind, &oa), *b = make(kind, &ob);

		name = a->ops->name;
		play(a, kind, seed, 100);
		play(b, kind, seed + 1000, 100);
		memset(&r, 0, sizeof(r));
		a->ops->save(a, &r);
		if (b->ops->load(b, &r, &e) == 0 && !r.failed) {
			oa.nsent = ob.nsent = 0;
			oa.wishes = ob.wishes = 0;
			same += play(a, kind, seed * 7, 100) == play(b, kind, seed * 7, 100) &&
				oa.level == ob.level && oa.wishes == ob.wishes &&
				oa.nsent == ob.nsent && !memcmp(oa.sent, ob.sent, oa.nsent);
		}
		a->ops->free(a);
		b->ops->free(b);
	}
	ok(same == 200, "%s: saved and loaded, behaves the same (%d of 200)", name, same);
	for (unsigned seed = 1; seed <= 2000; seed++) {
		struct outside o = { 0 };
		struct device *d = make(kind, &o);
		struct record before = { 0 };

		play(d, kind, seed, 20);
		memset(&r, 0, sizeof(r));
		d->ops->save(d, &r);
		before = r;
		r.len = next(&seed) % (r.len + 8);
		if (r.len)
			r.data[next(&seed) % r.len] = (unsigned char)next(&seed);
		memset(&r2, 0, sizeof(r2));
		if (d->ops->load(d, &r, &e) == -EINVAL) {
			d->ops->save(d, &r2);
			changed += r2.len != before.len || memcmp(r2.data, before.data, r2.len);
		} else {
			play(d, kind, seed, 50); // whatever it was told, it only lives on
		}
		d->ops->free(d);
	}
	ok(changed == 0, "%s: a record that is refused changes nothing", name);
}

/* ---- bus and memory ---- */

static unsigned seen_sizes;

static uint64_t note_size(struct device *d, unsigned region, uint64_t offset, unsigned size)
{
	seen_sizes |= 1u << size;
	return 0;
}

static const struct device_ops wide_ops = { .name = "wide", .access_max = 8, .read = note_size };

static void test_bus(void)
{
	struct iobus b = { 0 };
	struct outside o = { 0 };
	struct device *u = make(UART, &o), *k = make(I8042, &o);
	struct device wide = { &wide_ops };
	struct err e = { 0 };

	ok(iobus_attach(&b, 0x3f8, 8, u, 0, &e) == 0 && iobus_attach(&b, 0x64, 1, k, 1, &e) == 0 &&
		   iobus_attach(&b, 0x60, 1, k, 0, &e) == 0,
	   "bus: ranges are attached");
	ok(iobus_attach(&b, 0x3f0, 9, k, 0, &e) == -EBUSY &&
		   iobus_attach(&b, 0x3ff, 1, k, 0, &e) == -EBUSY &&
		   iobus_attach(&b, 0x3fa, 1, k, 0, &e) == -EBUSY,
	   "bus: overlaps are refused: %s", e.text);
	ok(iobus_attach(&b, UINT64_MAX, 2, k, 0, &e) == -EINVAL, "bus: so is what wraps");
	ok(iobus_read(&b, 0x3fd, 1) == 0x60 && iobus_read(&b, 0x400, 1) == 0xff &&
		   iobus_read(&b, 0, 4) == 0xffffffff,
	   "bus: reads find their device, or all ones");
	iobus_write(&b, 0x3ff, 1, 0x42);
	ok(iobus_read(&b, 0x3fe, 4) == 0xffff42b0, "bus: a wide read is split at the range's end");
	iobus_write(&b, 0x3f7, 2, 'Z' << 8);
	ok(o.nsent == 1 && o.sent[0] == 'Z', "bus: so is a wide write at its beginning");
	iobus_write(&b, 0x61, 8, UINT64_MAX);
	ok(iobus_attach(&b, 0x1000, 16, &wide, 0, &e) == 0 && iobus_read(&b, 0x1000, 8) == 0 &&
		   seen_sizes == 1u << 8,
	   "bus: what a device takes whole comes whole");
	seen_sizes = 0;
	ok(iobus_read(&b, 0x1002, 6) == 0 && iobus_read(&b, 0x1000, 3) == 0 &&
		   seen_sizes == 1u << 1,
	   "bus: what is of no register's size comes in bytes");
	u->ops->free(u);
	k->ops->free(k);
}

static void test_memory(void)
{
	const uint64_t mib = 1 << 20, gib = 1 << 30;
	struct sysinfo si;
	struct guestmem m;
	struct err e = { 0 };
	char c = 1;

	if (sysinfo(&si) < 0 || si.totalram < 4 * gib) {
		ok(true, "memory: # SKIP this host has less than 4 GiB");
		return;
	}

	ok(guestmem_new(&m, 4 * gib, &e) == 0 && ((uintptr_t)m.host & (2 * mib - 1)) == 0,
	   "memory: 4 GiB, aligned to 2 MiB");
	ok(m.low == 3 * gib && m.high == gib, "memory: with a hole from 3 to 4 GiB");
	ok(guestmem_range(&m, 0, 3 * gib) == m.host &&
		   guestmem_range(&m, 4 * gib, gib) == m.host + 3 * gib,
	   "memory: both parts are whole");
	ok(!guestmem_range(&m, 0, 3 * gib + 1) && !guestmem_range(&m, 3 * gib, 1) &&
		   !guestmem_range(&m, 4 * gib - 1, 2) && !guestmem_range(&m, 4 * gib, gib + 1) &&
		   !guestmem_range(&m, 5 * gib, 1) && !guestmem_range(&m, 1, UINT64_MAX) &&
		   !guestmem_range(&m, UINT64_MAX, 1) &&
		   !guestmem_range(&m, UINT64_MAX, UINT64_MAX) &&
		   !guestmem_range(&m, 4 * gib + 8, UINT64_MAX - 4),
	   "memory: nothing beyond");
	ok(guestmem_write(&m, 3 * gib - 1, "x", 1) == 0 &&
		   guestmem_read(&m, 3 * gib - 1, &c, 1) == 0 && c == 'x',
	   "memory: copies");
	ok(guestmem_write(&m, 3 * gib - 1, "xy", 2) == -EINVAL, "memory: refuses at the edge");
	ok(guestmem_clear(&m, &e) == 0 && guestmem_read(&m, 3 * gib - 1, &c, 1) == 0 && c == 0,
	   "memory: clear is zero");
	guestmem_free(&m);
	guestmem_free(&m);
}

int main(void)
{
	test_uart();
	test_pm();
	test_i8042();
	test_rtc();
	loop = event_base_new();
	test_ioapic();
	test_cpuplug();
	test_watchdog();
	test_pvpanic();
	for (int kind = 0; kind < KINDS; kind++)
		test_save_load(kind);
	test_bus();
	test_memory();
	event_base_free(loop);
	return tap_done();
}
