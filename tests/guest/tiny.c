/*
 * The tiny guest: a kernel of a few KiB for tests, the demo and the benchmarks. It needs nothing
 * of the CPU but what a software KVM can emulate in kernel mode (no SSE, no int n), so it runs
 * wherever /dev/kvm opens.
 *
 * It prints "tiny: ready" on the serial port, then does what the words of its command line say,
 * one after the other, each with a line of its own; then it halts with interrupts off:
 *
 *   hello      prints "tiny: hello"
 *   how        prints "tiny: entered as elf64", "bzimage" (by its own decompressor's entry) or
 * "pvh32" cmdline    prints "tiny: cmdline " and the whole command line initrd     prints "tiny:
 * initrd SIZE " and its first bytes up to a newline, or "tiny: no initrd" memory     prints "tiny:
 * memory KIB" by the memory map smp=N      starts the other vCPUs and prints "tiny: N cpus" when N
 * run in all touch=MIB  writes to each page of so many MiB from 16 MiB on, prints "tiny: touched"
 *   count      prints "tiny: 1", "tiny: 2" ... for ever
 *   spin       prints "tiny: spin" and loops for ever
 *   echo       prints "tiny: echo"; waits for interrupts: prints what is typed; 'q' on a line's
 * start ends it (what was typed before may be lost, as on any serial port) button     waits for
 * interrupts: prints "tiny: power button" when it is pressed, goes on poweroff   by the ACPI sleep
 * register reboot     by the ACPI reset register;  reboot=kbd by the keyboard controller triple
 * triple fault badinsn    jumps to where no memory is: KVM internal error halt       halts with
 * interrupts off
 */
#include "guest.h"

#define AP_CODE	 ((u8 *)0x8000)
#define AP_COUNT ((volatile u32 *)0x8800)

#define VECTOR_UART   0x40
#define VECTOR_BUTTON 0x41
#define VECTOR_OTHER  0xff

extern const u8 ap_code[], ap_code_end[];
void tiny_triple(void) __attribute__((noreturn));
void tiny_bios(void) __attribute__((noreturn));
void tiny_main(const u8 *params, u32 how) __attribute__((noreturn));

struct boot {
	const u8 *params;
	u32 how; /* 0 elf64, 1 bzimage, 2 pvh32 */
	const char *cmdline;
	const u8 *initrd;
	u64 initrd_size;
};

/* ---- interrupts ---- */

struct gate {
	u16 low, selector;
	u8 ist, type;
	u16 mid;
	u32 high, zero;
};

static struct gate idt[256];

struct frame;

__attribute__((interrupt)) static void interrupted(struct frame *f)
{
	LAPIC[0xb0 / 4] = 0; // end of interrupt
}

static void route(u32 pin, u8 vector)
{
	IOAPIC[0] = 0x11 + 2 * pin;
	IOAPIC[4] = 0; // to APIC id 0
	IOAPIC[0] = 0x10 + 2 * pin;
	IOAPIC[4] = vector; // edge, fixed, not masked
}

static void interrupts_setup(void)
{
	static const u8 vectors[] = { VECTOR_UART, VECTOR_BUTTON, VECTOR_OTHER };
	u64 handler = (u64)interrupted;
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (u64)idt };

	for (unsigned i = 0; i < sizeof(vectors); i++)
		idt[vectors[i]] = (struct gate){ .low = (u16)handler,
						 .selector = 0x10,
						 .type = 0x8e,
						 .mid = (u16)(handler >> 16),
						 .high = (u32)(handler >> 32) };
	__asm__ volatile("lidt %0" : : "m"(pointer));
	LAPIC[0xf0 / 4] = 0x100 | VECTOR_OTHER; // on
	route(4, VECTOR_UART);
	route(9, VECTOR_BUTTON);
	outb(UART + 2, 0x07); // FIFOs on and empty
	outb(UART + 4, 0x0b);
	outb(UART + 1, 0x01); // receive interrupt
}

/* Sleeps until the next interrupt; sti takes effect after the hlt. */
static void sleep(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* ---- the words ---- */

static void do_echo(void)
{
	int start = 1;

	interrupts_setup();
	put("tiny: echo\n");
	for (;;) {
		while (inb(UART + 5) & 1) {
			u8 c = inb(UART);

			if (start && c == 'q') {
				put("\n");
				return;
			}
			start = c == '\n' || c == '\r';
			outb(UART, c);
		}
		sleep();
	}
}

static void do_button(void)
{
	interrupts_setup();
	while (!(inb(PM + 2) & 1))
		sleep();
	put("tiny: power button\n");
}

static void do_count(void)
{
	for (u64 n = 1;; n++) {
		put("tiny: ");
		put_number(n);
		put("\n");
	}
}

static void do_smp(u64 want)
{
	u64 n = (u64)(ap_code_end - ap_code);

	for (u64 i = 0; i < n; i++)
		AP_CODE[i] = ap_code[i];
	*AP_COUNT = 1; // this one
	LAPIC[0xf0 / 4] = 0x100 | VECTOR_OTHER;
	LAPIC[0x310 / 4] = 0;
	LAPIC[0x300 / 4] = 0xc4500; // INIT to all others
	LAPIC[0x310 / 4] = 0;
	LAPIC[0x300 / 4] = 0xc4600 | ((u32)(u64)AP_CODE >> 12); // startup there
	while (*AP_COUNT < want)
		__asm__ volatile("pause");
	put("tiny: ");
	put_number(*AP_COUNT);
	put(" cpus\n");
}

static void do_initrd(const struct boot *b)
{
	char c[2] = { 0, 0 };

	if (!b->initrd_size) {
		put("tiny: no initrd\n");
		return;
	}
	put("tiny: initrd ");
	put_number(b->initrd_size);
	put(" ");
	for (u64 i = 0; i < b->initrd_size && b->initrd[i] >= ' '; i++) {
		c[0] = (char)b->initrd[i];
		put(c);
	}
	put("\n");
}

static void do_memory(const struct boot *b)
{
	u64 sum = 0;
	const u8 *map = b->params + 0x2d0;
	u32 n = b->params[0x1e8], step = 20;

	if (b->how == 2) {
		map = (const u8 *)get64(b->params + 40);
		n = get32(b->params + 48);
		step = 24;
	}
	for (u32 i = 0; i < n; i++, map += step)
		if (get32(map + 16) == 1)
			sum += get64(map + 8);
	put("tiny: memory ");
	put_number(sum >> 10);
	put("\n");
}

static void do_touch(u64 mib)
{
	for (u64 a = 16ul << 20; a < (16 + mib) << 20; a += 4096)
		*(volatile u8 *)a = 1;
	put("tiny: touched\n");
}

#define PCI_HOST_BRIDGE 0x00081b36u

/* Names a register of PCI's, n times, and reads it; each time another than before. */
static void do_pci(u64 n)
{
	u64 wrong = 0;

	for (u64 i = 0; i < n; i++) {
		u32 name = 0x80000000 | (u32)(i % 31 << 11);
		u32 id;

		outl(0xcf8, name);
		id = inl(0xcfc);
		wrong += (i % 31 == 0) != (id == PCI_HOST_BRIDGE);
		if (i % 8 == 0)
			wrong += inl(0xcf8) != name;
	}
	put(wrong ? "tiny: pci wrong\n" : "tiny: pci right\n");
}

static void do_how(const struct boot *b)
{
	put("tiny: entered as ");
	put(b->how == 0 ? "elf64\n" : b->how == 1 ? "bzimage\n" : "pvh32\n");
}

static void run_word(const struct boot *b, const char *s)
{
	u64 v;

	if (is(s, "hello", &v))
		put("tiny: hello\n");
	else if (is(s, "how", &v))
		do_how(b);
	else if (is(s, "cmdline", &v))
		put("tiny: cmdline "), put(b->cmdline), put("\n");
	else if (is(s, "initrd", &v))
		do_initrd(b);
	else if (is(s, "memory", &v))
		do_memory(b);
	else if (is(s, "smp", &v))
		do_smp(v);
	else if (is(s, "pci", &v))
		do_pci(v);
	else if (is(s, "touch", &v))
		do_touch(v);
	else if (is(s, "count", &v))
		do_count();
	else if (is(s, "spin", &v)) {
		put("tiny: spin\n");
		for (;;)
			__asm__ volatile("pause");
	} else if (is(s, "echo", &v))
		do_echo();
	else if (is(s, "button", &v))
		do_button();
	else if (is(s, "poweroff", &v))
		outb(PM, 5 << 2 | 0x20);
	else if (is(s, "reboot=kbd", &v))
		outb(0x64, 0xfe);
	else if (is(s, "reboot=bios", &v))
		tiny_bios();
	else if (is(s, "reboot=acpi", &v))
		outb(PM + 3, 0x06);
	else if (is(s, "reboot", &v))
		outb(0xcf9, 0x06);
	else if (is(s, "triple", &v))
		tiny_triple();
	else if (is(s, "badinsn", &v))
		((void (*)(void))0xd0000000ul)();
	else if (is(s, "halt", &v))
		halt();
}

void tiny_main(const u8 *params, u32 how)
{
	struct boot b = { .params = params, .how = how };

	put("tiny: ready\n");
	if (how == 2) {
		b.cmdline = (const char *)get64(params + 24);
		if (get32(params + 12)) {
			b.initrd = (const u8 *)get64((const u8 *)get64(params + 16));
			b.initrd_size = get64((const u8 *)get64(params + 16) + 8);
		}
	} else {
		b.cmdline = (const char *)(u64)get32(params + 0x228);
		b.initrd = (const u8 *)(u64)get32(params + 0x218);
		b.initrd_size = get32(params + 0x21c);
	}
	for (const char *s = b.cmdline; *s;) {
		while (*s == ' ')
			s++;
		if (*s)
			run_word(&b, s);
		while (*s && *s != ' ')
			s++;
	}
	halt();
}
