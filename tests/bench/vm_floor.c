/*
 * vm_floor RUNS ELF MEBIBYTES [INITRD CMDLINE MARK]: the least that starting a virtual machine can
 * cost, from the exec of a monitor to the first byte that its guest writes to the serial port, or
 * until it has written MARK. The monitor is this program again (vm_floor run ELF ...): it loads an
 * ELF file's segments and an initrd, enters by Linux's 64-bit boot protocol with one vCPU, the
 * in-kernel interrupt controllers and a timer, and knows a 16550, a table of one processor (without
 * which Linux has no IOAPIC and so no serial interrupt) and a clock that stands still (without
 * which Linux waits seconds for one). No devices, no ACPI, no sandbox.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <linux/kvm.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "bench.h"

#define HUGE_PAGE   (2ul << 20)
#define ZERO_PAGE   0x7000
#define PAGE_TABLES 0x9000 /* PML4, PDPT, four page directories */
#define GDT	    0x500
#define CMDLINE	    0x20000
#define HIGH_MEMORY 0x100000
#define MP_TABLE    0x9fc00
#define SERIAL	    0x3f8
#define SERIAL_IRQ  4
#define CMOS	    0x70
#define KEYBOARD    0x64

extern char **environ;

struct serial {
	uint8_t ier, lcr, mcr, scratch, fcr, divisor[2];
	int empty; /* the transmitter is, and its interrupt has not been taken back by reading IIR
		    */
};

struct vm {
	int kvm, vm, vcpu;
	uint8_t *ram;
	size_t size;
	struct kvm_run *run;
	struct serial serial;
	uint8_t clock; /* which register of the clock is read next */
	const char *mark;
	size_t seen; /* how much of it has been written */
};

static int check(int result, const char *what)
{
	if (result < 0)
		give_up(what);
	return result;
}

/* Returns the entry point. */
static uint64_t elf_load(struct vm *vm, const char *path)
{
	int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
	Elf64_Ehdr head;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG))
		give_up("not an ELF file");
	for (int i = 0; i < head.e_phnum; i++) {
		Elf64_Phdr ph;
		off_t at = (off_t)(head.e_phoff + (uint64_t)i * sizeof(ph));

		if (pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			give_up("program header");
		if (ph.p_type != PT_LOAD || !ph.p_filesz)
			continue;
		if (ph.p_paddr > vm->size || ph.p_filesz > vm->size - ph.p_paddr ||
		    pread(fd, vm->ram + ph.p_paddr, ph.p_filesz, (off_t)ph.p_offset) !=
			    (ssize_t)ph.p_filesz)
			give_up("segment");
	}
	close(fd);
	return head.e_entry;
}

static void ram_new(struct vm *vm)
{
	struct kvm_userspace_memory_region region = { .memory_size = vm->size };
	uint8_t *p = mmap(NULL, vm->size + HUGE_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		give_up("guest RAM");
	vm->ram = (uint8_t *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	madvise(vm->ram, vm->size, MADV_HUGEPAGE);
	region.userspace_addr = (uintptr_t)vm->ram;
	check(ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region), "memory region");
}

/* To the end of memory. */
static void initrd_load(struct vm *vm, const char *path)
{
	struct boot_params *zero = (void *)(vm->ram + ZERO_PAGE);
	int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
	struct stat st;
	uint64_t at;

	check(fstat(fd, &st), path);
	at = (vm->size - (uint64_t)st.st_size) & ~0xffful;
	if ((uint64_t)st.st_size > vm->size / 2 ||
	    pread(fd, vm->ram + at, (size_t)st.st_size, 0) != st.st_size)
		give_up(path);
	zero->hdr.ramdisk_image = (uint32_t)at;
	zero->hdr.ramdisk_size = (uint32_t)st.st_size;
	close(fd);
}

static void boot_params_set(struct vm *vm, const char *cmdline)
{
	struct boot_params *zero = (void *)(vm->ram + ZERO_PAGE);

	zero->hdr.boot_flag = 0xaa55;
	zero->hdr.header = 0x53726448;
	zero->hdr.type_of_loader = 0xff;
	zero->hdr.loadflags = 1;
	zero->hdr.kernel_alignment = 0x1000000;
	zero->hdr.cmd_line_ptr = CMDLINE;
	zero->hdr.cmdline_size = 2047;
	zero->e820_entries = 2;
	zero->e820_table[0] = (struct boot_e820_entry){ 0, 0x9f000, 1 };
	zero->e820_table[1] = (struct boot_e820_entry){ HIGH_MEMORY, vm->size - HIGH_MEMORY, 1 };
	snprintf((char *)vm->ram + CMDLINE, 2048, "%s pci=off acpi=off i8042.noaux i8042.nokbd",
		 cmdline);
}

static uint8_t checksum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum += *p++;
	return (uint8_t)-sum;
}

/* Intel's MultiProcessor Specification 1.4, chapter 4: one CPU, one bus, one IOAPIC, its lines. */
static void mp_table_set(struct vm *vm)
{
	uint8_t *floating = vm->ram + MP_TABLE, *table = floating + 16, *p = table + 44;
	static const uint8_t cpu[20] = { 0, 0, 0x14, 3, 0, 6, 0, 0, 1, 2 };
	static const uint8_t bus[8] = { 1, 0, 'I', 'S', 'A', ' ', ' ', ' ' };
	static const uint8_t ioapic[8] = { 2, 1, 0x11, 1, 0, 0, 0xc0, 0xfe };
	uint32_t lapic = 0xfee00000, where = MP_TABLE + 16;

	memcpy(p, cpu, 20), p += 20;
	memcpy(p, bus, 8), p += 8;
	memcpy(p, ioapic, 8), p += 8;
	for (uint8_t line = 0; line < 16; line++) {
		uint8_t to = line ? line : 2; // the timer's line

		if (line != 2)
			memcpy(p, (uint8_t[8]){ 3, 0, 0, 0, 0, line, 1, to }, 8), p += 8;
	}
	memcpy(p, (uint8_t[8]){ 4, 3, 0, 0, 0, 0, 0xff, 0 }, 8), p += 8; // LINT0: the PIC
	memcpy(p, (uint8_t[8]){ 4, 1, 0, 0, 0, 0, 0xff, 1 }, 8), p += 8; // LINT1: NMI
	memcpy(table, "PCMP", 4);
	table[4] = (uint8_t)(p - table);
	table[6] = 4;
	memcpy(table + 8, "FLOOR   VM          ", 20);
	table[34] = 20; // entries
	memcpy(table + 36, &lapic, 4);
	table[7] = checksum(table, (size_t)(p - table));
	memcpy(floating, "_MP_", 4);
	memcpy(floating + 4, &where, 4);
	floating[8] = 1;
	floating[9] = 4;
	floating[10] = checksum(floating, 16);
}

/* The first 4 GiB one to one, in 2 MiB pages. */
static void page_tables_set(struct vm *vm)
{
	uint64_t *pml4 = (void *)(vm->ram + PAGE_TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (PAGE_TABLES + 0x1000) | 3;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (PAGE_TABLES + 0x2000 + i * 0x1000) | 3;
	for (uint64_t i = 0; i < 2048; i++)
		pd[i] = i << 21 | 0x83;
}

static void registers_set(struct vm *vm, uint64_t entry)
{
	static const uint64_t gdt[] = { 0, 0, 0xaf9b000000ffff, 0xcf93000000ffff };
	struct kvm_segment data = {
		.limit = ~0u, .selector = 0x18, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_regs regs = { .rip = entry, .rsi = ZERO_PAGE, .rsp = ZERO_PAGE, .rflags = 2 };
	struct kvm_sregs sregs;

	memcpy(vm->ram + GDT, gdt, sizeof(gdt));
	check(ioctl(vm->vcpu, KVM_GET_SREGS, &sregs), "sregs");
	sregs.cs = (struct kvm_segment){
		.limit = ~0u, .selector = 0x10, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt.base = GDT;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.idt.limit = 0;
	sregs.cr0 = 0x80050033;
	sregs.cr3 = PAGE_TABLES;
	sregs.cr4 = 0x20;
	sregs.efer = 0x500;
	check(ioctl(vm->vcpu, KVM_SET_SREGS, &sregs), "sregs");
	check(ioctl(vm->vcpu, KVM_SET_REGS, &regs), "regs");
}

static void vcpu_new(struct vm *vm)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	int size = check(ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "vcpu size");

	vm->vcpu = check(ioctl(vm->vm, KVM_CREATE_VCPU, 0), "vcpu");
	check(ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), "cpuid");
	check(ioctl(vm->vcpu, KVM_SET_CPUID2, &cpuid), "cpuid");
	vm->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		give_up("vcpu");
}

/* Passes on what the guest prints; true once that is all that was wanted. */
static int console_byte(struct vm *vm, uint8_t byte)
{
	if (write(STDOUT_FILENO, &byte, 1) != 1)
		give_up("console");
	if (!vm->mark)
		return 1;
	vm->seen = byte == (uint8_t)vm->mark[vm->seen] ? vm->seen + 1 : byte == (uint8_t)*vm->mark;
	return !vm->mark[vm->seen];
}

static void serial_interrupt(struct vm *vm)
{
	struct kvm_irq_level level = { .irq = SERIAL_IRQ,
				       .level = (vm->serial.ier & 2) && vm->serial.empty };

	check(ioctl(vm->vm, KVM_IRQ_LINE, &level), "interrupt");
}

static int serial_write(struct vm *vm, unsigned reg, uint8_t v)
{
	struct serial *s = &vm->serial;
	uint8_t *const plain[8] = { [2] = &s->fcr, &s->lcr, &s->mcr, [7] = &s->scratch };
	int done = 0;

	if (reg < 2 && s->lcr & 0x80) {
		s->divisor[reg] = v;
	} else if (reg < 2) {
		if (reg == 0)
			done = !(s->mcr & 0x10) && console_byte(vm, v);
		else
			s->ier = v & 15;
		s->empty = 1;
		serial_interrupt(vm);
	} else if (plain[reg]) {
		*plain[reg] = v;
	}
	return done;
}

static uint8_t serial_read(struct vm *vm, unsigned reg)
{
	struct serial *s = &vm->serial;
	uint8_t iir;

	switch (reg) {
	case 0:
	case 1:
		return s->lcr & 0x80 ? s->divisor[reg] : reg ? s->ier : 0;
	case 2:
		iir = (s->ier & 2 && s->empty ? 2 : 1) | (s->fcr & 1 ? 0xc0 : 0);
		s->empty = 0;
		serial_interrupt(vm);
		return iir;
	case 5:
		return 0x60;
	case 6: // looped back, its outputs are its inputs: so it is recognized
		return s->mcr & 0x10 ? (uint8_t)((s->mcr & 2) << 3 | (s->mcr & 1) << 5 |
						 (s->mcr & 4) << 4 | (s->mcr & 8) << 4)
				     : 0xb0;
	default:
		return (uint8_t[8]){ [3] = s->lcr, s->mcr, [7] = s->scratch }[reg];
	}
}

/* One byte; true once the guest has printed what was waited for. */
static int port_write(struct vm *vm, uint16_t port, uint8_t v)
{
	if (port >= SERIAL && port < SERIAL + 8)
		return serial_write(vm, port - SERIAL, v);
	if (port == CMOS)
		vm->clock = v & 0x7f;
	if (port == KEYBOARD && v == 0xfe) {
		fprintf(stderr, "bench: the guest has reset itself\n");
		_exit(1);
	}
	return 0;
}

static uint8_t port_read(struct vm *vm, uint16_t port)
{
	static const uint8_t clock[128] = { [7] = 1, 1, [10] = 0x26, 2, [13] = 0x80 };

	if (port >= SERIAL && port < SERIAL + 8)
		return serial_read(vm, port - SERIAL);
	return port == CMOS + 1 ? clock[vm->clock] : 0xff;
}

static int port_exit(struct vm *vm)
{
	struct kvm_run *run = vm->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN) {
			memset(data, 0xff, run->io.size);
			*data = port_read(vm, run->io.port);
		} else if (port_write(vm, run->io.port, *data)) {
			return 1;
		}
	}
	return 0;
}

static void vm_until_mark(struct vm *vm)
{
	for (;;) {
		struct kvm_run *run = vm->run;

		if (ioctl(vm->vcpu, KVM_RUN, 0) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				give_up("KVM_RUN");
			continue;
		}
		if (run->exit_reason == KVM_EXIT_IO) {
			if (port_exit(vm))
				return;
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		} else {
			fprintf(stderr, "bench: the guest left with reason %u\n", run->exit_reason);
			_exit(1);
		}
	}
}

/* argv: ELF MEBIBYTES [INITRD CMDLINE MARK] */
static int vm_run(char **argv)
{
	struct vm vm = { .size = (size_t)runs_arg(argv[1]) << 20,
			 .mark = argv[2] ? argv[4] : NULL };
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity_map = 0xfffbc000;
	uint64_t entry;

	vm.kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm.vm = check(ioctl(vm.kvm, KVM_CREATE_VM, 0), "vm");
	/*
	 * Memory before any in-kernel device: a PIT or ioeventfd starts a slow SRCU grace period,
	 * and setting a memory region after it waits some 7 ms for its end.
	 */
	ram_new(&vm);
	check(ioctl(vm.vm, KVM_SET_TSS_ADDR, 0xfffbd000), "tss");
	check(ioctl(vm.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map), "identity map");
	check(ioctl(vm.vm, KVM_CREATE_IRQCHIP, 0), "irqchip");
	check(ioctl(vm.vm, KVM_CREATE_PIT2, &pit), "pit");
	entry = elf_load(&vm, argv[0]);
	boot_params_set(&vm, argv[2] ? argv[3] : "");
	if (argv[2]) {
		initrd_load(&vm, argv[2]);
		mp_table_set(&vm);
	}
	page_tables_set(&vm);
	vcpu_new(&vm);
	registers_set(&vm, entry);
	vm_until_mark(&vm);
	return 0;
}

/* Until the monitor has ended where it waits for a mark, until its first byte else. */
static double start_once(char **argv)
{
	posix_spawn_file_actions_t actions;
	char verb[] = "run", buf[4096],
	     *args[] = { argv[0], verb, argv[2], argv[3], NULL, NULL, NULL, NULL };
	int console[2], status;
	double start, end;
	ssize_t n;
	pid_t pid;

	for (int i = 4; argv[4] && i < 7; i++)
		args[i] = argv[i];
	if (pipe2(console, O_CLOEXEC))
		give_up("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, console[1], STDOUT_FILENO);
	start = now_us();
	errno = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, args, environ);
	if (errno)
		give_up("spawn");
	close(console[1]);
	n = read(console[0], buf, sizeof(buf));
	if (n < 1)
		give_up("the guest printed nothing");
	while (argv[4] && n > 0)
		n = read(console[0], buf, sizeof(buf));
	end = now_us();
	close(console[0]);
	if (waitpid(pid, &status, 0) != pid || (argv[4] && status))
		give_up("the guest never printed the mark");
	posix_spawn_file_actions_destroy(&actions);
	return end - start;
}

int main(int argc, char **argv)
{
	static struct samples s;
	int runs;

	if (argc != 4 && argc != 7)
		return 2;
	if (!strcmp(argv[1], "run"))
		return vm_run(argv + 2);
	runs = runs_arg(argv[1]);
	for (int i = argc == 4 ? -3 : 0; i < runs; i++) {
		double us;

		start_pause(i);
		us = start_once(argv);

		if (i >= 0)
			sample_add(&s, us);
	}
	sample_print(&s);
	return 0;
}
