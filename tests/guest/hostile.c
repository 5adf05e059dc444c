/*
 * A malicious guest: it drives every register of every device with wrong sizes, in the wrong order
 * and with whatever value, gives them queues that no driver would, and interrupts as fast as it
 * can. It needs as little of the CPU as the tiny guest. Words of its command line, each told when
 * done:
 *
 *   seed=N       the numbers that follow; all that it says begins with it: "hostile N: "
 *   registers=N  so many accesses to ports, registers in memory and configuration space
 *   queues=N     so many rounds of each kind of bad queue, on each virtio device, one queue more
 *                each round; then it is driven well: "N devices live" says how many answer
 *   storm=N      so many interrupts from lines and queues, and messages to nobody
 *   flood=N      so many lines on the console
 *   eject        lets go of all devices at once, which nobody has asked for
 *   nmi          interrupts itself with what it has no handler for
 *   poweroff
 */
#include "guest.h"

#define ECAM   0xe0000000ul
#define WINDOW 0xc0000000ul /* where it puts the registers of the device in slot N: 64 KiB each */
#define TABLE  0x4000	    /* MSI-X, in a device's registers */
#define RINGS  0x1000000ul  /* 64 KiB a queue, then what its buffers are */
#define DATA   0x2000000ul
#define MEMORY 0x4000000ul /* 64 MiB */
#define QUEUES 4

void tiny_main(const u8 *params, u32 how) __attribute__((noreturn));

static u64 state = 1, seed;

static u64 any(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ul;
}

static u64 below(u64 n)
{
	return (any() >> 16) % n;
}

/* What devices compare, count and add to: small ones, all ones, addresses. */
static u64 value(void)
{
	u64 v = any();

	switch (below(6)) {
	case 0:
		return v & 0xf;
	case 1:
		return ~0ul >> (v & 63);
	case 2:
		return RINGS + (v & 0xfffff);
	case 3:
		return 1ul << (v & 63);
	case 4:
		return 0;
	default:
		return v;
	}
}

static void out(u16 port, unsigned size, u32 v)
{
	if (size == 1)
		outb(port, (u8)v);
	else if (size == 2)
		__asm__ volatile("outw %0, %1" : : "a"((u16)v), "Nd"(port));
	else
		outl(port, v);
}

static u32 in(u16 port, unsigned size)
{
	u32 v = 0;

	if (size == 1)
		v = inb(port);
	else if (size == 2)
		__asm__ volatile("inw %1, %w0" : "+a"(v) : "Nd"(port));
	else
		v = inl(port);
	return v;
}

static void write_at(u64 at, unsigned size, u64 v)
{
	if (size == 1)
		*(volatile u8 *)at = (u8)v;
	else if (size == 2)
		*(volatile u16 *)at = (u16)v;
	else if (size == 4)
		*(volatile u32 *)at = (u32)v;
	else
		*(volatile u64 *)at = v;
}

static u64 read_at(u64 at, unsigned size)
{
	return size == 1   ? *(volatile u8 *)at
	       : size == 2 ? *(volatile u16 *)at
	       : size == 4 ? *(volatile u32 *)at
			   : *(volatile u64 *)at;
}

/* The console as it has to be to print. */
static void say(const char *what, u64 n)
{
	outb(UART + 3, 3);
	outb(UART + 4, 0x0b);
	outb(UART + 1, 0);
	outb(UART + 2, 7);
	put("\nhostile ");
	put_number(seed);
	put(": ");
	put_number(n);
	put(what);
	put("\n");
}

/* ---- registers ---- */

/* What ends the machine, or takes its devices away, has its own words. */
static int ends_it(u16 port, unsigned size, u32 v)
{
	static const u16 ports[] = {
		PM, PM + 3, 0xcf9, 0x64, 0x505, 0xae08, 0xae09, 0xae0a, 0xae0b
	};

	for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (ports[i] >= port && ports[i] < port + size && !(port == 0xcf8 && size == 4) &&
		    !(port == 0x64 && size == 1 && (v & 0xf0) != 0xf0))
			return 1;
	return 0;
}

static void touch_port(void)
{
	static const u16 bases[] = { UART,  PM,	    0x60,   0x70,  0x505,
				     0x610, 0xaf00, 0xae00, 0xcf8, 0xcfc };
	unsigned size = 1u << below(3);
	u16 port = (u16)(bases[below(sizeof(bases) / sizeof(bases[0]))] + below(18) - 1);
	u32 v = (u32)value();

	if (below(16) == 0)
		port = (u16)any();
	if (below(2))
		in(port, size);
	else if (!ends_it(port, size, v))
		out(port, size, v);
}

/* An interrupt of another kind than the fixed one would end it: no handler is there. */
static void touch_ioapic(void)
{
	unsigned size = 1u << below(4);
	u64 at = (u64)IOAPIC + (below(4) ? below(8) * 4 : below(0x1000));

	if (below(3) == 0)
		read_at(at, size);
	else
		write_at(at, size, value() & 0xfffff8fffffff8fful);
}

static void touch_config(void)
{
	unsigned size = 1u << below(3);
	u64 at = ECAM + (below(32) << 15) + (below(8) ? below(256) : below(0x8000));

	if (below(2))
		read_at(at, size);
	else
		write_at(at, size, value());
}

static void touch_window(void)
{
	unsigned size = 1u << below(4);
	u64 at = WINDOW + (below(32) << 16) + (below(4) ? below(0x8008) : below(64));

	if (below(16) == 0)
		at = WINDOW + below(0x20000000);
	if (below(2))
		read_at(at, size);
	else
		write_at(at, size,
			 value() & ((at & 0xffff) >= TABLE ? 0xfffff8fffffff8fful : ~0ul));
}

static u32 config(unsigned slot, unsigned reg)
{
	return *(volatile u32 *)(ECAM + (slot << 15) + reg);
}

static void set_config(unsigned slot, unsigned reg, u32 v)
{
	*(volatile u32 *)(ECAM + (slot << 15) + reg) = v;
}

static int is_virtio(unsigned slot)
{
	return (config(slot, 0) & 0xffff) == 0x1af4;
}

/* Each device where this program looks for it. */
static void place_devices(void)
{
	for (unsigned slot = 1; slot < 32; slot++) {
		set_config(slot, 0x10, (u32)(WINDOW + (slot << 16)));
		set_config(slot, 0x14, 0);
		set_config(slot, 4, 6);
	}
}

static void do_registers(u64 n)
{
	place_devices();
	for (u64 i = 0; i < n; i++) {
		switch (below(4)) {
		case 0:
			touch_port();
			break;
		case 1:
			touch_ioapic();
			break;
		case 2:
			touch_config();
			break;
		case 3:
			touch_window();
			break;
		}
		if (i % 256 == 0)
			place_devices();
	}
	say(" registers", n);
}

/* ---- queues ---- */

struct device {
	u64 common, notify;
};

/* Walks the capabilities; what is bent there is not found. */
static int find(unsigned slot, struct device *d)
{
	u64 bar = WINDOW + (slot << 16);
	unsigned at = config(slot, 0x34) & 0xff;

	d->common = d->notify = 0;
	for (int n = 0; at && n < 32; n++, at = config(slot, at) >> 8 & 0xff) {
		u32 head = config(slot, at & 0xfc);

		if ((head & 0xff) == 9 && head >> 24 == 1)
			d->common = bar + config(slot, (at & 0xfc) + 8);
		if ((head & 0xff) == 9 && head >> 24 == 2)
			d->notify = bar + config(slot, (at & 0xfc) + 8);
	}
	return d->common && d->notify;
}

/* Resets it and waits; then all of its features are agreed on. */
static int begin(const struct device *d)
{
	write_at(d->common + 20, 1, 0);
	for (u64 n = 0; read_at(d->common + 20, 1); n++)
		if (n == 200000)
			return 0;
	write_at(d->common + 20, 1, 3);
	for (u32 half = 0; half < 2; half++) {
		write_at(d->common, 4, half);
		write_at(d->common + 8, 4, half);
		write_at(d->common + 12, 4, read_at(d->common + 4, 4));
	}
	write_at(d->common + 20, 1, 11);
	return 1;
}

static u64 rings(unsigned q)
{
	return RINGS + (u64)q * 0x10000;
}

static void put_queue(const struct device *d, unsigned q, u64 desc, u64 avail, u64 used)
{
	write_at(d->common + 22, 2, q);
	write_at(d->common + 24, 2, 64);
	write_at(d->common + 32, 4, desc);
	write_at(d->common + 36, 4, desc >> 32);
	write_at(d->common + 40, 4, avail);
	write_at(d->common + 44, 4, avail >> 32);
	write_at(d->common + 48, 4, used);
	write_at(d->common + 52, 4, used >> 32);
	write_at(d->common + 28, 2, 1);
}

static void put_desc(u64 at, unsigned i, u64 addr, u32 len, u16 flags, u16 next)
{
	write_at(at + 16 * i, 8, addr);
	write_at(at + 16 * i + 8, 4, len);
	write_at(at + 16 * i + 12, 2, flags);
	write_at(at + 16 * i + 14, 2, next);
}

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

enum bad {
	LOOP,	   /* of descriptors */
	OUTSIDE,   /* where there is no memory, or memory ends in it */
	REGISTERS, /* buffers that are devices */
	HUGE,	   /* more than there is */
	JUMP,	   /* more heads than the queue has */
	HEADS,	   /* that the queue does not have */
	LINKS,	   /* likewise */
	NESTED,	   /* indirect descriptors in themselves */
	ODD,	   /* a table of no whole number */
	BACKWARDS, /* what the device writes before what it reads */
	ITSELF,	   /* buffers that are the rings */
	SOUP,
	AWAY, /* rings that are not in memory */
	SAME, /* all three at one place */
	BADS,
};

static void fill(enum bad kind, u64 desc)
{
	static const u64 outside[] = { ~0ul - 8,    MEMORY - 4, 0xd8000000,
				       0x100000000, 1ul << 63,	MEMORY };

	switch (kind) {
	case LOOP:
		put_desc(desc, 0, DATA, 16, NEXT, 1);
		put_desc(desc, 1, DATA, 16, NEXT, 0);
		break;
	case OUTSIDE:
		put_desc(desc, 0, outside[below(6)], 4096, (u16)(below(2) * WRITE), 0);
		break;
	case REGISTERS:
		put_desc(desc, 0, below(2) ? 0xfee00000 : WINDOW + 0x10000, 64, WRITE, 0);
		break;
	case HUGE:
		put_desc(desc, 0, DATA, 16, NEXT, 1);
		put_desc(desc, 1, DATA, ~0u, WRITE, 0);
		break;
	case LINKS:
		put_desc(desc, 0, DATA, 16, NEXT, (u16)(64 + below(60000)));
		break;
	case NESTED:
		put_desc(desc, 0, desc, 64, INDIRECT, 0);
		break;
	case ODD:
		put_desc(desc, 0, DATA, (u32)below(100), INDIRECT, 0);
		break;
	case BACKWARDS:
		put_desc(desc, 0, DATA, 64, WRITE | NEXT, 1);
		put_desc(desc, 1, DATA, 64, 0, 0);
		break;
	case ITSELF:
		put_desc(desc, 0, desc, 0x3000, WRITE, 0);
		break;
	default:
		for (unsigned i = 0; i < 64; i++)
			put_desc(desc, i, value(), (u32)value(), (u16)below(8), (u16)below(80));
	}
}

/* Queue q is bad, the others are empty. */
static void drive_badly(const struct device *d, enum bad kind, unsigned q)
{
	unsigned n = (unsigned)read_at(d->common + 18, 2);
	u64 at = rings(q);

	for (unsigned i = 0; i < n && i < QUEUES; i++) {
		for (u64 k = 0; k < 0x4000; k += 8)
			write_at(rings(i) + k, 8, 0);
		if (i == q && kind == AWAY)
			put_queue(d, i, value(), value() & ~1ul, value() & ~3ul);
		else if (i == q && kind == SAME)
			put_queue(d, i, rings(i), rings(i), rings(i));
		else
			put_queue(d, i, rings(i), rings(i) + 0x1000, rings(i) + 0x2000);
	}
	fill(kind, at);
	for (unsigned i = 0; i < 64; i++)
		write_at(at + 0x1004 + 2 * i, 2, kind == HEADS ? 64 + below(60000) : below(2));
	write_at(at + 0x1002, 2, kind == JUMP ? 200 + below(60000) : 1 + below(64));
	write_at(d->common + 20, 1, 15);
	for (int k = 0; k < 20; k++)
		write_at(d->notify + 4 * below(QUEUES + 1), 2, below(QUEUES + 1));
	for (int k = 0; k < 50; k++)
		read_at(d->common + 20, 1);
}

/* After all of it: does it begin as a good one does? */
static int lives(const struct device *d)
{
	if (!begin(d))
		return 0;
	put_queue(d, 0, rings(0), rings(0) + 0x1000, rings(0) + 0x2000);
	write_at(rings(0) + 0x1000, 4, 0);
	write_at(d->common + 20, 1, 15);
	return read_at(d->common + 20, 1) == 15;
}

static void do_queues(u64 rounds)
{
	struct device d;
	u64 live = 0, there = 0;

	place_devices();
	for (unsigned slot = 1; slot < 32; slot++) {
		there += (u64)is_virtio(slot);
		if (!is_virtio(slot) || !find(slot, &d))
			continue;
		for (u64 i = 0; i < rounds; i++)
			for (unsigned kind = 0; kind < BADS; kind++)
				if (begin(&d))
					drive_badly(&d, (enum bad)kind, (unsigned)(i % QUEUES));
		live += (u64)lives(&d);
		begin(&d);
	}
	say(" devices", there);
	say(" devices live", live);
}

/* ---- the others ---- */

static void do_storm(u64 n)
{
	struct device d;

	place_devices();
	for (u64 i = 0; i < n; i++) {
		unsigned slot = (unsigned)(1 + below(8));
		u64 table = WINDOW + (slot << 16) + TABLE + 16 * below(4);

		IOAPIC[0] = (u32)(0x10 + 2 * below(24));
		IOAPIC[4] = (u32)(0x30 + below(0xc0));
		outb(UART + 4, 0x1b); // loopback
		outb(UART + 1, (u8)(i & 1 ? 0x0f : 0));
		outb(UART, 'x');
		if (!is_virtio(slot) || !find(slot, &d))
			continue;
		*(volatile u16 *)(ECAM + (slot << 15) + (config(slot, 0x34) & 0xfc) + 2) = 0x8000;
		write_at(table, 4, 0xfee00000 | (u32)below(0x100000));
		write_at(table + 4, 4, below(4) ? 0 : value());
		write_at(table + 8, 4, 0x30 + below(0xc0));
		write_at(table + 12, 4, 0);
		write_at(d.notify + 4 * below(4), 2, 0);
	}
	say(" interrupts", n);
}

static void do_flood(u64 n)
{
	for (u64 i = 0; i < n; i++)
		put("hostile: a line of sixty bytes that nobody has asked it to print\n");
	say(" lines", n);
}

static void run_word(const char *s)
{
	u64 v;

	if (is(s, "seed", &v))
		seed = v, state = v * 2 + 1;
	else if (is(s, "registers", &v))
		do_registers(v);
	else if (is(s, "queues", &v))
		do_queues(v);
	else if (is(s, "storm", &v))
		do_storm(v);
	else if (is(s, "flood", &v))
		do_flood(v);
	else if (is(s, "eject", &v))
		out(0xae08, 4, ~0u), say(" ejected", 0);
	else if (is(s, "nmi", &v)) {
		LAPIC[0x310 / 4] = 0;
		LAPIC[0x300 / 4] = 0x44400; // to itself
	} else if (is(s, "poweroff", &v))
		outb(PM, 5 << 2 | 0x20);
}

void tiny_main(const u8 *params, u32 how)
{
	const char *s = (const char *)(u64)get32(params + 0x228);

	put("hostile: ready\n");
	while (*s) {
		while (*s == ' ')
			s++;
		if (*s)
			run_word(s);
		while (*s && *s != ' ')
			s++;
	}
	halt();
}
