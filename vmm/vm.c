/*
 * struct vm: see vm.h. Not here: what is loaded (boot.c), what vCPUs do (vcpu.c), verbs (engine.c).
 */
#include "vmm/vm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "backends/monitor/console.h"
#include "vmm/board/cpuplug.h"
#include "vmm/board/i8042.h"
#include "vmm/board/ioapic.h"
#include "vmm/board/msi.h"
#include "vmm/board/pm.h"
#include "vmm/board/pvpanic.h"
#include "vmm/board/rtc.h"
#include "vmm/board/uart.h"
#include "vmm/board/watchdog.h"
#include "vmm/boot/boot.h"
#include "vmm/numa.h"
#include "vmm/pace.h"
#include "vmm/virtio/virtio_console.h"
#include "vmm/virtio/virtio_mem.h"
#include "vmm/vm_parts.h"

#define KVM_API	      12
#define TSS_ADDR      0xfffbd000u /* three pages that Intel's real-mode emulation wants */
#define IDENTITY_ADDR 0xfffbc000u /* one more */

/* ---- what devices call back ---- */

static void vm_irq_line(void *arg, uint32_t gsi, bool level)
{
	ioapic_set(((struct vm *)arg)->ioapic, gsi, level);
}

void vm_msi(void *arg, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = msi_for_kvm(address, data);

	// It can fail only while the KVM side is being made anew, when no one listens, and where
	// a guest addresses a local APIC that is not there.
	(void)ioctl(((struct vm *)arg)->fd, KVM_SIGNAL_MSI, &msi);
}

/* A driver broke its device, which waits for its reset; the rest of the machine goes on. */
static void vm_device_failed(void *arg, const char *why)
{
	struct vm *vm = arg;

	snprintf(vm->trouble, sizeof(vm->trouble), "%s", why);
	vm->host->notice(vm->host, NOTICE_DEVICE, why);
}

static void vm_wish(void *arg, enum guest_wish wish)
{
	if (wish == GUEST_POWEROFF || wish == GUEST_RESET)
		vm_end(arg, wish == GUEST_POWEROFF ? ENDING_POWEROFF : ENDING_RESET, 0, "");
	else
		vm_signal_wish(arg, wish);
}

static void vm_print(struct vm *vm, const void *data, size_t len)
{
	atomic_fetch_add_explicit(&vm->host->counters[COUNTER_CONSOLE_BYTES], len,
				  memory_order_relaxed);
	console_output(vm->host->console, data, len);
}

static void vm_printed(void *arg, const void *data, size_t len)
{
	struct vm *vm = arg;

	atomic_store_explicit(&vm->on_hvc, false, memory_order_relaxed);
	vm_print(vm, data, len);
}

void vm_printed_hvc(void *arg, const void *data, size_t len)
{
	struct vm *vm = arg;

	atomic_store_explicit(&vm->on_hvc, true, memory_order_relaxed);
	vm_print(vm, data, len);
}

size_t vm_type(struct vm *vm, const void *data, size_t len)
{
	if (vm->hvc && (!vm->uart || atomic_load(&vm->on_hvc)))
		return virtio_console_input(vm->hvc, data, len);
	return uart_input(vm->uart, data, len);
}

/* ---- devices ---- */

/* Takes over d and lets it answer at a range of ports. */
static int vm_add_device(struct vm *vm, struct device *d, uint16_t port, uint16_t ports,
			 struct err *e)
{
	vm->devices[vm->ndevices++] = d;
	return iobus_attach(&vm->pio, port, ports, d, 0, e);
}

static int vm_add_uart(struct vm *vm, struct err *e)
{
	int r = uart_new((struct irq){ vm_irq_line, vm, UART_GSI }, vm_printed, vm, &vm->uart, e);

	return r < 0 ? r : vm_add_device(vm, uart_device(vm->uart), UART_PORT, UART_PORTS, e);
}

static int vm_add_devices(struct vm *vm, struct err *e)
{
	struct guest_wishes wishes = { vm_wish, vm };
	struct cpuplug_host plug = { vm_cpus_ejected, vm };
	struct device *d;
	int r;

	r = ioapic_new(vm_msi, vm, &vm->ioapic, e);
	if (r == 0) {
		vm->devices[vm->ndevices++] = ioapic_device(vm->ioapic);
		r = iobus_attach(&vm->mmio, IOAPIC_BASE, IOAPIC_LEN, ioapic_device(vm->ioapic), 0,
				 e);
	}
	if (r == 0)
		r = cpuplug_new(vm->ncpus, (unsigned)vm->host->config->cpu_count, &vm->topology,
				plug, &vm->cpuplug, e);
	if (r == 0)
		r = vm_add_device(vm, cpuplug_device(vm->cpuplug), CPUPLUG_PORT, CPUPLUG_PORTS, e);
	if (r == 0 && vm->host->config->vm.serial != SERIAL_VIRTIO)
		r = vm_add_uart(vm, e);
	if (r == 0)
		r = pm_new((struct irq){ vm_irq_line, vm, PM_GSI }, wishes, &vm->pm, e);
	if (r == 0)
		r = vm_add_device(vm, pm_device(vm->pm), PM_PORT, PM_PORTS, e);
	if (r == 0)
		r = vm_pci_new(vm, e); // which passes PM_RESET_PORT on
	if (r == 0)
		r = pvpanic_new(wishes, &d, e);
	if (r == 0)
		r = vm_add_device(vm, d, PVPANIC_PORT, PVPANIC_PORTS, e);
	if (r == 0 && vm->host->config->vm.watchdog != ACTION_NONE) {
		r = watchdog_new(vm->host->loop, wishes, &vm->watchdog, e);
		if (r == 0)
			r = vm_add_device(vm, watchdog_device(vm->watchdog), WATCHDOG_PORT,
					  WATCHDOG_PORTS, e);
	}
	if (r == 0)
		r = rtc_new(&d, e);
	if (r == 0)
		r = vm_add_device(vm, d, RTC_PORT, RTC_PORTS, e);
	if (r == 0)
		r = i8042_new(wishes, &d, e);
	if (r == 0)
		r = vm_add_device(vm, d, I8042_DATA, 1, e);
	if (r == 0)
		r = iobus_attach(&vm->pio, I8042_COMMAND, 1, d, 1, e);
	return r;
}

/* ---- the KVM side ---- */

static int kvm_check(struct vm *vm, struct err *e)
{
	int kvm = vm->host->fd[ENGINE_FD_KVM];

	if (kvm < 0)
		return err_set(e, -ENXIO, "/dev/kvm: this host has no KVM");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API)
		return err_set(e, -ENXIO,
			       "/dev/kvm: not the KVM interface that this was built for");
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return err_set(e, -ENXIO, "/dev/kvm: the kernel is too old (no immediate_exit)");
	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SPLIT_IRQCHIP) <= 0 ||
	    ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SIGNAL_MSI) <= 0)
		return err_set(e, -ENXIO, "/dev/kvm: the kernel is too old (no split_irqchip)");
	return 0;
}

static int kvm_add_slot(struct vm *vm, uint32_t slot, const struct guestmem_region *r,
			struct err *e)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = r->gpa,
		.memory_size = r->len,
		.userspace_addr = (uintptr_t)vm->mem.host + r->offset,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_sys(e, errno, "KVM_SET_USER_MEMORY_REGION");
	return 0;
}

static int kvm_enable(struct vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &c);
}

/* Local APICs in the kernel; what is beside them is ioapic.h's. */
static int kvm_make_irqchip(struct vm *vm, struct err *e)
{
	if (kvm_enable(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS) < 0)
		return err_sys(e, errno, "KVM_CAP_SPLIT_IRQCHIP");
	// Without it only ids above 254 do not work, which vm_cpus_new() has refused then.
	(void)kvm_enable(vm, KVM_CAP_X2APIC_API,
			 KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	return 0;
}

/*
 * A guest says with a write to this MSR that it uses a vCPU, and with 0 that it does so no
 * more: the only word of it that there is. See vcpu.c. A kernel that cannot pass it on does as
 * well.
 */
static void kvm_watch_online(struct vm *vm)
{
	uint8_t none[8] = { 0 };
	struct kvm_msr_filter f = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = { { .flags = KVM_MSR_FILTER_WRITE,
			      .base = VCPU_MSR_ONLINE,
			      .nmsrs = 1,
			      .bitmap = none } },
	};

	if (kvm_enable(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER) == 0)
		(void)ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &f);
}

static int kvm_make_vm(struct vm *vm, struct err *e)
{
	uint64_t identity = IDENTITY_ADDR;
	int r;

	vm->fd = kvm_creation_end(&vm->creation, vm->host->fd[ENGINE_FD_KVM]);
	if (vm->fd < 0)
		return err_sys(e, -vm->fd, "KVM_CREATE_VM");
	// Only Intel needs these; a KVM that has no use for them refuses.
	(void)ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_ADDR);
	(void)ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	// In this order: a grace period of SRCU costs nothing where none has been just before, and
	// a filter waits for one whatever it costs (up to 20 ms); slots have theirs expedited; the
	// irqchip leaves a lazy callback behind, for whose grace period each of them would wait.
	kvm_watch_online(vm);
	r = 0;
	for (unsigned i = 0; r == 0 && i < vm->mem.nregions; i++)
		r = kvm_add_slot(vm, i, &vm->mem.regions[i], e);
	if (r == 0)
		r = kvm_make_irqchip(vm, e);
	return r;
}

/* Loads memory, which is zero, and makes the KVM side: the machine as it is just before it runs. */
static int vm_build(struct vm *vm, struct err *e)
{
	struct boot_source src = { .kernel = vm->host->fd[ENGINE_FD_KERNEL],
				   .initrd = vm->host->fd[ENGINE_FD_INITRD],
				   .cmdline = vm->host->config->vm.cmdline,
				   .genid = vm->genid,
				   .machine = { .cpus = vm->ncpus,
						.present = (unsigned)vm->host->config->cpu_count,
						.topology = &vm->topology,
						.watchdog = vm->watchdog != NULL,
						.uart = vm->uart != NULL,
						.numa = vm->numa,
						.pci = true,
						.window64 = pci_bus_window64(vm->pci) } };
	struct boot_entry entry;
	int r;

	r = boot_load(&vm->mem, &src, &entry, e);
	if (r == 0)
		r = kvm_make_vm(vm, e);
	if (r == 0)
		r = vm_cpus_build(vm, &entry, e);
	if (r == 0)
		indexes_begin(&vm->indexes, vm->host->fd[ENGINE_FD_KVM], vm->fd, vm->vcpus[0].run);
	return r;
}

static void vm_unbuild(struct vm *vm)
{
	indexes_end(&vm->indexes);
	vm_cpus_unbuild(vm);
	if (vm->fd >= 0)
		close(vm->fd);
	vm->fd = -1;
}

/* Nodes and RAM. A share's virtiofsd maps the memory file. */
static int vm_make_memory(struct vm *vm, struct err *e)
{
	const struct machine_config *c = vm->host->config;
	struct guestmem_node nodes[NUMA_NODES_MAX];
	struct guestmem_want want = { .size = c->memory_size,
				      .possible = c->vm.memory_possible,
				      .backing = c->vm.memory_backing,
				      .prealloc = c->vm.memory_prealloc,
				      .lock = c->vm.memory_lock,
				      .merge = c->vm.memory_merge,
				      .shared = c->parts[PART_SHARE].n > 0,
				      .nodes = nodes,
				      .host = c->vm.memory_numa };
	int r;

	vm->numa = malloc(sizeof(*vm->numa));
	if (!vm->numa)
		return err_sys(e, ENOMEM, "numa");
	r = numa_settle(c, vm->ncpus, vm->numa, e);
	if (r < 0)
		return r;
	want.nnodes = vm->numa->n;
	for (unsigned i = 0; i < want.nnodes; i++)
		nodes[i] =
			(struct guestmem_node){ vm->numa->nodes[i].size, vm->numa->nodes[i].host };
	return guestmem_make(&vm->mem, &want, e);
}

/* ---- life ---- */

int vm_new(struct engine_host *host, struct vm **ret, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_sys(e, ENOMEM, "VM");
	vm->host = host;
	vm->fd = -1;
	vm->request = VM_PAUSE;
	if (getrandom(vm->genid, sizeof(vm->genid), 0) != sizeof(vm->genid)) {
		free(vm);
		return err_sys(e, errno, "VM: no random number");
	}
	vm->virtio_env = (struct virtio_env){ &vm->mem, host->loop, vm_device_failed, vm };
	vm->routes = calloc(VM_ROUTES, sizeof(*vm->routes));
	indexes_init(&vm->indexes);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->asked, NULL);
	pthread_cond_init(&vm->stood, NULL);
	r = vm->routes ? kvm_check(vm, e) : err_sys(e, ENOMEM, "VM");
	if (r == 0)
		kvm_creation_begin(&vm->creation, host->fd[ENGINE_FD_KVM]);
	if (r == 0)
		r = pace_new(host->loop, &vm->virtio_env.pace, e);
	if (r == 0)
		r = vcpu_signal_setup(e);
	if (r == 0)
		r = vm_signals_new(vm, e);
	if (r == 0)
		r = vm_cpus_new(vm, e);
	if (r == 0)
		r = vm_make_memory(vm, e);
	if (r == 0)
		r = vm_add_devices(vm, e);
	if (r == 0)
		r = vm_parts_new(vm, e);
	if (r == 0)
		r = vm_build(vm, e);
	if (r == 0)
		r = vm_cpus_start(vm, e);
	if (r == 0)
		r = vm_cpus_set_affinity(vm, &host->config->vm.cpu_affinity, e);
	if (r < 0)
		goto fail;
	vm->built = true;
	*ret = vm;
	return 0;
fail:
	vm_free(vm);
	return r;
}

/* The lock is held. */
static void vm_ask(struct vm *vm, enum vm_request request)
{
	if (vm->request == VM_QUIT)
		return;
	vm->request = request;
	pthread_cond_broadcast(&vm->asked);
	for (unsigned i = 0; request != VM_RUN && vm->vcpus && i < vm->ncpus; i++)
		vcpu_kick(&vm->vcpus[i]);
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	pthread_mutex_lock(&vm->lock);
	vm_ask(vm, VM_QUIT);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; vm->vcpus && i < vm->ncpus; i++)
		vcpu_join(&vm->vcpus[i]);
	kvm_creation_cancel(&vm->creation);
	vm_unbuild(vm);
	vm_pci_free(vm);
	for (unsigned i = 0; i < vm->ndevices; i++)
		device_free(vm->devices[i]);
	vm_signals_free(vm);
	pace_free(vm->virtio_env.pace);
	guestmem_free(&vm->mem);
	free(vm->routes);
	free(vm->vcpus);
	free(vm->numa);
	pthread_cond_destroy(&vm->stood);
	pthread_cond_destroy(&vm->asked);
	pthread_mutex_destroy(&vm->lock);
	indexes_destroy(&vm->indexes);
	free(vm);
}

/* The lock is held. */
static bool must_wait(const struct vm *vm, const struct vcpu *v)
{
	return vm->request == VM_PAUSE || (vm->request == VM_RUN && !v->plugged);
}

bool vm_park(struct vm *vm, struct vcpu *v)
{
	bool run, waited;

	pthread_mutex_lock(&vm->lock);
	waited = must_wait(vm, v) || vm->request == VM_QUIT;
	if (waited) {
		vm->parked++;
		// Whoever waits for it runs at once, and would only wait for the lock.
		pthread_mutex_unlock(&vm->lock);
		pthread_cond_broadcast(&vm->stood);
		pthread_mutex_lock(&vm->lock);
	}
	while (must_wait(vm, v))
		pthread_cond_wait(&vm->asked, &vm->lock);
	run = vm->request == VM_RUN;
	if (run && waited)
		vm->parked--;
	if (run)
		v->run->immediate_exit = 0;
	pthread_mutex_unlock(&vm->lock);
	return run;
}

void vm_run(struct vm *vm)
{
	if (vm->devices_paused)
		for (unsigned i = 0; i < vm->nslots; i++)
			vm_slot_resume(&vm->slots[i]);
	vm->devices_paused = false;
	if (vm->watchdog)
		watchdog_hold(vm->watchdog, false);
	pthread_mutex_lock(&vm->lock);
	vm_ask(vm, VM_RUN);
	pthread_mutex_unlock(&vm->lock);
}

/* Waits until so many vCPUs stand still. The lock is held. */
static void vm_wait_parked(struct vm *vm, unsigned n)
{
	while (vm->parked < n)
		pthread_cond_wait(&vm->stood, &vm->lock);
}

bool vm_paused(struct vm *vm)
{
	bool paused;

	pthread_mutex_lock(&vm->lock);
	paused = vm->request == VM_PAUSE;
	pthread_mutex_unlock(&vm->lock);
	return paused;
}

bool vm_hold(struct vm *vm)
{
	bool ran;

	pthread_mutex_lock(&vm->lock);
	ran = vm->request == VM_RUN;
	if (ran)
		vm_ask(vm, VM_PAUSE);
	if (vm->built)
		vm_wait_parked(vm, vm->threads);
	pthread_mutex_unlock(&vm->lock);
	return ran;
}

void vm_release(struct vm *vm, bool ran)
{
	pthread_mutex_lock(&vm->lock);
	if (ran)
		vm_ask(vm, VM_RUN);
	pthread_mutex_unlock(&vm->lock);
}

int vm_pause(struct vm *vm, struct err *e)
{
	bool ran = vm_hold(vm);
	int r = 0;

	if (vm->watchdog)
		watchdog_hold(vm->watchdog, true);
	// Tells the guest's watchdogs; one without kvmclock has none to tell.
	for (unsigned i = 0; i < vm->ncpus; i++)
		if (vm->vcpus[i].fd >= 0)
			(void)ioctl(vm->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0);
	if (vm->devices_paused)
		return 0;
	for (unsigned i = 0; r == 0 && i < vm->nslots; i++)
		r = vm_slot_pause(&vm->slots[i], e);
	vm->devices_paused = true;
	if (r == 0)
		vm_publish_registers(vm);
	if (r < 0 && ran)
		vm_run(vm);
	return r;
}

/*
 * Back to the state after vm_new(), on the same descriptors; the vCPUs stand still. EBUSY when the
 * machine has ended; after any other failure it cannot run again.
 */
static int vm_reset(struct vm *vm, struct err *e)
{
	int r = vm_pause(vm, e);

	if (r < 0)
		return r;
	if (!vm_paused(vm))
		return err_set(e, -EBUSY, "the machine has ended");
	vm_drop_leaving(vm);
	for (unsigned i = 0; i < vm->nslots; i++)
		vm_slot_reset(&vm->slots[i]);
	device_reset(pci_bus_device(vm->pci));
	vm_unbuild(vm);
	for (unsigned i = 0; i < vm->ndevices; i++)
		device_reset(vm->devices[i]);
	r = guestmem_clear(&vm->mem, e);
	if (vm->hotmem)
		virtio_mem_emptied(vm->hotmem);
	if (r == 0)
		r = vm_build(vm, e);
	return r;
}

int vm_restart(struct vm *vm, struct err *e)
{
	bool paused = vm_paused(vm);
	struct err why = { 0 };
	int r = vm_reset(vm, &why);

	if (r == -EBUSY)
		return err_set(e, r, "%s", why.text);
	if (r < 0) {
		err_prefix(&why, "reset: ");
		vm_end(vm, ENDING_FAILED, 0, why.text);
		return err_set(e, r, "%s", why.text);
	}
	atomic_fetch_add_explicit(&vm->host->counters[COUNTER_RESETS], 1, memory_order_relaxed);
	if (!paused)
		vm_run(vm);
	return 0;
}

/* The calling thread is a vCPU's, which will park only later. */
static bool vm_on_vcpu(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->ncpus; i++)
		if (vm->vcpus[i].has_thread && pthread_equal(vm->vcpus[i].thread, pthread_self()))
			return true;
	return false;
}

void vm_end(struct vm *vm, enum ending_kind kind, int code, const char *why)
{
	struct ending ending = { .kind = kind, .code = code };
	bool first;

	pthread_mutex_lock(&vm->lock);
	first = !vm->ended;
	vm->ended = true;
	vm_ask(vm, VM_QUIT);
	if (first)
		vm_wait_parked(vm, vm->threads - vm_on_vcpu(vm));
	pthread_mutex_unlock(&vm->lock);
	if (!first)
		return;
	strncpy(ending.why, why, sizeof(ending.why) - 1);
	vm->host->ended(vm->host, &ending);
}
