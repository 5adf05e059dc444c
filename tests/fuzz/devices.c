/*
 * The devices of the board as a hostile guest drives them, each at its address: registers in every
 * size and order, beside and across their ends, events from behind, resets, and saved states.
 */
#include <event2/event.h>

#include "tests/fuzz/saved.h"
#include "vmm/board/cpuplug.h"
#include "vmm/board/i8042.h"
#include "vmm/board/ioapic.h"
#include "vmm/board/iobus.h"
#include "vmm/board/pm.h"
#include "vmm/board/pvpanic.h"
#include "vmm/board/rtc.h"
#include "vmm/board/uart.h"
#include "vmm/board/watchdog.h"

#define CPUS 5

enum { UART, PM, I8042, RTC, IOAPIC, CPUPLUG, PVPANIC, WATCHDOG, KINDS };

struct board {
	struct event_base *loop;
	struct iobus pio, mmio;
	struct device *device[KINDS];
	struct uart *uart;
	struct pm *pm;
	struct ioapic *ioapic;
	struct cpuplug *cpuplug;
	struct watchdog *watchdog;
	bool level[IOAPIC_PINS];
	unsigned wishes, sent, messages;
	unsigned gone; /* vCPUs that were ejected: a bit each */
};

static void on_irq(void *arg, uint32_t gsi, bool level)
{
	struct board *b = arg;

	fuzz_check(gsi == UART_GSI || gsi == PM_GSI);
	ioapic_set(b->ioapic, gsi, level);
	b->level[gsi] = level;
}

static void on_sent(void *arg, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		((struct board *)arg)->sent += p[i] + 1;
}

static void on_wish(void *arg, enum guest_wish wish)
{
	fuzz_check(wish <= GUEST_WATCHDOG);
	((struct board *)arg)->wishes++;
}

/* A message goes to local APICs, whatever the guest has put into the entry. */
static void on_msi(void *arg, uint64_t address, uint32_t data)
{
	fuzz_check(address >> 20 == 0xfee && data <= 0xffff);
	((struct board *)arg)->messages++;
}

static void on_ejected(void *arg, unsigned vcpu)
{
	fuzz_check(vcpu > 0 && vcpu < CPUS);
	((struct board *)arg)->gone |= 1u << vcpu;
}

static void attach(struct iobus *bus, uint64_t at, uint64_t len, struct device *d, unsigned region)
{
	fuzz_check(iobus_attach(bus, at, len, d, region, NULL) == 0);
}

static void board_new(struct board *b)
{
	static const struct cpu_topology topology = { 1, CPUS, 1 };
	const struct guest_wishes wishes = { on_wish, b };
	const struct cpuplug_host host = { on_ejected, b };
	struct device **d = b->device;

	memset(b, 0, sizeof(*b));
	b->loop = event_base_new();
	fuzz_check(ioapic_new(on_msi, b, &b->ioapic, NULL) == 0 &&
		   uart_new((struct irq){ on_irq, b, UART_GSI }, on_sent, b, &b->uart, NULL) == 0 &&
		   pm_new((struct irq){ on_irq, b, PM_GSI }, wishes, &b->pm, NULL) == 0 &&
		   i8042_new(wishes, &d[I8042], NULL) == 0 && rtc_new(&d[RTC], NULL) == 0 &&
		   cpuplug_new(CPUS, 2, &topology, host, &b->cpuplug, NULL) == 0 &&
		   pvpanic_new(wishes, &d[PVPANIC], NULL) == 0 &&
		   watchdog_new(b->loop, wishes, &b->watchdog, NULL) == 0);
	d[UART] = uart_device(b->uart);
	d[PM] = pm_device(b->pm);
	d[IOAPIC] = ioapic_device(b->ioapic);
	d[CPUPLUG] = cpuplug_device(b->cpuplug);
	d[WATCHDOG] = watchdog_device(b->watchdog);
	watchdog_hold(b->watchdog, false);
	attach(&b->pio, UART_PORT, UART_PORTS, d[UART], 0);
	attach(&b->pio, PM_PORT, PM_PORTS, d[PM], 0);
	attach(&b->pio, PM_RESET_PORT, 1, d[PM], 1);
	attach(&b->pio, I8042_DATA, 1, d[I8042], 0);
	attach(&b->pio, I8042_COMMAND, 1, d[I8042], 1);
	attach(&b->pio, RTC_PORT, RTC_PORTS, d[RTC], 0);
	attach(&b->pio, CPUPLUG_PORT, CPUPLUG_PORTS, d[CPUPLUG], 0);
	attach(&b->pio, PVPANIC_PORT, PVPANIC_PORTS, d[PVPANIC], 0);
	attach(&b->pio, WATCHDOG_PORT, WATCHDOG_PORTS, d[WATCHDOG], 0);
	attach(&b->mmio, IOAPIC_BASE, IOAPIC_LEN, d[IOAPIC], 0);
}

static void board_free(struct board *b)
{
	for (int i = 0; i < KINDS; i++)
		device_free(b->device[i]);
	event_base_free(b->loop);
}

/* ---- what a guest does ---- */

/* An address at a register, or just beside its device. */
static uint64_t address(struct board *b, struct script *s, bool *ret_mmio)
{
	static const struct {
		uint64_t base, len;
	} ranges[KINDS + 2] = {
		{ UART_PORT, UART_PORTS },
		{ PM_PORT, PM_PORTS },
		{ I8042_DATA, 8 },
		{ RTC_PORT, RTC_PORTS },
		{ IOAPIC_BASE, 0x60 },
		{ CPUPLUG_PORT, CPUPLUG_PORTS },
		{ PVPANIC_PORT, PVPANIC_PORTS },
		{ WATCHDOG_PORT, WATCHDOG_PORTS },
		{ PM_RESET_PORT, 1 },
		{ IOAPIC_BASE, IOAPIC_LEN + 16 },
	};
	unsigned i = take(s) % (KINDS + 2);
	uint64_t off = ranges[i].len > 256 ? take_n(s, 2) : take(s);

	*ret_mmio = ranges[i].base == IOAPIC_BASE;
	return ranges[i].base + off % (ranges[i].len + 8) - (off & 0x80 ? 4 : 0);
}

static void touch(struct board *b, struct script *s)
{
	static const unsigned odd[] = { 3, 5, 6, 7 };
	unsigned how = take(s), size = how & 16 ? odd[how & 3] : 1u << (how & 3);
	bool mmio;
	uint64_t at = address(b, s, &mmio);
	const struct iobus *bus = mmio ? &b->mmio : &b->pio;

	if (how & 4)
		iobus_write(bus, at, size, take_n(s, how & 8 ? 8 : 1));
	else
		fuzz_check(size == 8 || iobus_read(bus, at, size) >> (8 * size) == 0);
}

/* The index register, then the data behind it, as drivers do it. */
static void indexed(struct board *b, struct script *s)
{
	unsigned which = take(s), index = take(s);

	if (which & 1) {
		iobus_write(&b->pio, RTC_PORT, 1, index);
		if (which & 2)
			iobus_write(&b->pio, RTC_PORT + 1, 1, take(s));
		else
			iobus_read(&b->pio, RTC_PORT + 1, 1);
		return;
	}
	iobus_write(&b->mmio, IOAPIC_BASE, 4, index % 0x44);
	if (which & 2)
		iobus_write(&b->mmio, IOAPIC_BASE + 0x10, 4, take_n(s, 4));
	else
		iobus_read(&b->mmio, IOAPIC_BASE + 0x10, 4);
}

/* ---- what happens to it ---- */

static void event(struct board *b, struct script *s)
{
	static const char text[300] = "typed";
	unsigned n = take(s);

	switch (take(s) % 5) {
	case 0:
		fuzz_check(uart_input(b->uart, text, n) <= n);
		break;
	case 1:
		pm_event(b->pm, (uint8_t)n);
		break;
	case 2:
		ioapic_set(b->ioapic, n % 26, n & 0x80);
		break;
	case 3:
		cpuplug_add(b->cpuplug, n % CPUS);
		break;
	case 4:
		cpuplug_ask(b->cpuplug, n % CPUS);
		break;
	}
}

/* An interrupt that nobody has asked for so often. */
static void storm(struct board *b, struct script *s)
{
	unsigned pin = take(s) % IOAPIC_PINS;

	for (unsigned n = 0; n < 300; n++)
		ioapic_set(b->ioapic, pin, n % 2);
}

static void run(struct board *b, struct script *s)
{
	while (s->p < s->end) {
		switch (take(s) % 8) {
		case 0:
		case 1:
			touch(b, s);
			break;
		case 2:
			indexed(b, s);
			break;
		case 3:
			event(b, s);
			break;
		case 4:
			storm(b, s);
			break;
		case 5:
			watchdog_hold(b->watchdog, true);
			saved_reload(b->device[take(s) % KINDS], s);
			watchdog_hold(b->watchdog, false);
			break;
		case 6:
			device_reset(b->device[take(s) % KINDS]);
			break;
		case 7:
			event_base_loop(b->loop, EVLOOP_NONBLOCK);
			break;
		}
	}
}

static void one(const char *data, size_t len)
{
	struct script s = { (const unsigned char *)data, (const unsigned char *)data + len };
	struct board b;

	board_new(&b);
	run(&b, &s);
	/* The first vCPU is always there, and what went had to be there. */
	fuzz_check(cpuplug_present(b.cpuplug, 0));
	for (int i = 0; i < KINDS; i++)
		device_reset(b.device[i]);
	fuzz_check(!b.level[UART_GSI] && iobus_read(&b.pio, UART_PORT + 5, 1) == 0x60);
	board_free(&b);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
