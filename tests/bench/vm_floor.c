/*
 * vm_floor RUNS ELF MEBIBYTES: the least that starting a virtual machine can cost, from the
 * exec of a monitor to the first byte that its guest writes to the serial port. The monitor is
 * this program again (vm_floor run ELF MEBIBYTES): it loads an ELF file's segments, enters it
 * by Linux's 64-bit boot protocol with one vCPU, the in-kernel interrupt controllers and a timer,
 * and knows one byte of a 16550. No devices, no ACPI, no sandbox.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <linux/kvm.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bench.h"

#define HUGE_PAGE   (2ul << 20)
#define ZERO_PAGE   0x7000
#define PAGE_TABLES 0x9000 /* PML4, PDPT, four page directories */
#define GDT	    0x500
#define CMDLINE	    0x20000
#define HIGH_MEMORY 0x100000
#define SERIAL	    0x3f8
#define SERIAL_LSR  (SERIAL + 5)

extern char **environ;

struct vm {
	int kvm, vm, vcpu;
	uint8_t *ram;
	size_t size;
	struct kvm_run *run;
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

static void boot_params_set(struct vm *vm)
{
	struct boot_params *zero = (void *)(vm->ram + ZERO_PAGE);

	zero->hdr.boot_flag = 0xaa55;
	zero->hdr.header = 0x53726448;
	zero->hdr.type_of_loader = 0xff;
	zero->hdr.loadflags = 1;
	zero->hdr.cmd_line_ptr = CMDLINE;
	zero->e820_entries = 2;
	zero->e820_table[0] = (struct boot_e820_entry){ 0, 0x9f000, 1 };
	zero->e820_table[1] = (struct boot_e820_entry){ HIGH_MEMORY, vm->size - HIGH_MEMORY, 1 };
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

/* Runs the guest until its first byte; prints it. */
static void vm_until_byte(struct vm *vm)
{
	for (;;) {
		struct kvm_run *run = vm->run;
		uint8_t *data = (uint8_t *)run + run->io.data_offset;

		if (ioctl(vm->vcpu, KVM_RUN, 0) < 0 && errno != EINTR && errno != EAGAIN)
			give_up("KVM_RUN");
		data = (uint8_t *)run + run->io.data_offset;
		if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		else if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN)
			memset(data, run->io.port == SERIAL_LSR ? 0x60 : 0,
			       (size_t)run->io.size * run->io.count);
		else if (run->exit_reason == KVM_EXIT_IO && run->io.port == SERIAL) {
			if (write(STDOUT_FILENO, data, 1) != 1)
				give_up("console");
			return;
		} else if (run->exit_reason != KVM_EXIT_IO && run->exit_reason != KVM_EXIT_MMIO) {
			fprintf(stderr, "bench: the guest left with reason %u\n", run->exit_reason);
			_exit(1);
		}
	}
}

static int vm_run(const char *elf, size_t mebibytes)
{
	struct vm vm = { .size = mebibytes << 20 };
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
	entry = elf_load(&vm, elf);
	boot_params_set(&vm);
	page_tables_set(&vm);
	vcpu_new(&vm);
	registers_set(&vm, entry);
	vm_until_byte(&vm);
	return 0;
}

static double start_once(char **argv)
{
	posix_spawn_file_actions_t actions;
	char verb[] = "run", *args[] = { argv[0], verb, argv[2], argv[3], NULL }, byte;
	int console[2], status;
	double start, end;
	pid_t pid;

	if (pipe2(console, O_CLOEXEC))
		give_up("pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, console[1], STDOUT_FILENO);
	start = now_us();
	errno = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, args, environ);
	if (errno)
		give_up("spawn");
	close(console[1]);
	if (read(console[0], &byte, 1) != 1)
		give_up("the guest printed nothing");
	end = now_us();
	close(console[0]);
	waitpid(pid, &status, 0);
	posix_spawn_file_actions_destroy(&actions);
	return end - start;
}

int main(int argc, char **argv)
{
	static struct samples s;
	int runs;

	if (argc != 4)
		return 2;
	if (!strcmp(argv[1], "run"))
		return vm_run(argv[2], (size_t)runs_arg(argv[3]));
	runs = runs_arg(argv[1]);
	for (int i = -3; i < runs; i++) {
		double us = start_once(argv);

		if (i >= 0)
			sample_add(&s, us);
	}
	sample_print(&s);
	return 0;
}
