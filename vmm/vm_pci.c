/* A machine's PCI bus on KVM: see vm_pci.h. */
#include "vmm/vm_pci.h"

#include <cpuid.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/board/ioapic.h"
#include "vmm/board/msi.h"
#include "vmm/board/pm.h"
#include "vmm/virtio/virtio_pci.h"
#include "vmm/vm.h"

#define GIB (1ull << 30)

/* ---- interrupts and doorbells ---- */

static int kvm_doorbell(void *arg, uint64_t gpa, int eventfd, bool on)
{
	const struct vm *vm = arg;
	struct kvm_ioeventfd io = { .addr = gpa,
				    .fd = eventfd,
				    .flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN };

	return ioctl(vm->fd, KVM_IOEVENTFD, &io) < 0 ? -errno : 0;
}

/* KVM takes the whole table; vm->ioapic needs none of it. */
static int kvm_set_routes(struct vm *vm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entries[VM_ROUTES];
	} *t = calloc(1, sizeof(*t));
	unsigned n = 0;
	int r;

	if (!t)
		return -ENOMEM;
	for (unsigned i = 0; i < VM_ROUTES; i++) {
		uint64_t to = msi_address_for_kvm(vm->routes[i].address);

		if (vm->routes[i].used)
			t->entries[n++] = (struct kvm_irq_routing_entry){
				.gsi = IOAPIC_PINS + i,
				.type = KVM_IRQ_ROUTING_MSI,
				.u.msi = { .address_lo = (uint32_t)to,
					   .address_hi = (uint32_t)(to >> 32),
					   .data = vm->routes[i].data }
			};
	}
	t->head.nr = n;
	r = ioctl(vm->fd, KVM_SET_GSI_ROUTING, &t->head) < 0 ? -errno : 0;
	free(t);
	return r;
}

static int kvm_irqfd(const struct vm *vm, int route, int eventfd, bool on)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)eventfd,
				   .gsi = IOAPIC_PINS + (uint32_t)route,
				   .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN };

	return ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

static int kvm_msi_fd(void *arg, int *route, int eventfd, uint64_t address, uint32_t data, bool on)
{
	struct vm *vm = arg;
	bool fresh = *route < 0;
	struct vm_route before;
	int r;

	if (!on) {
		if (*route >= 0) {
			(void)kvm_irqfd(vm, *route, eventfd, false);
			vm->routes[*route].used = false;
		}
		*route = -1;
		return 0;
	}
	// The guest's vCPUs wait for a whole table that is set, so one that is as it was is not.
	if (!fresh && vm->routes[*route].address == address && vm->routes[*route].data == data)
		return 0;
	for (int i = 0; *route < 0 && i < VM_ROUTES; i++)
		if (!vm->routes[i].used)
			*route = i;
	if (*route < 0)
		return -ENOSPC;
	before = vm->routes[*route];
	vm->routes[*route] = (struct vm_route){ true, address, data };
	r = kvm_set_routes(vm);
	if (r == 0 && fresh)
		r = kvm_irqfd(vm, *route, eventfd, true);
	if (r < 0)
		vm->routes[*route] = before;
	if (r < 0 && fresh)
		*route = -1;
	return r;
}

static void vm_hotplug(void *arg)
{
	struct vm *vm = arg;

	pm_event(vm->pm, PM_EVENT_PCI);
}

/* ---- the bus ---- */

static void slot_free(struct vm *vm, struct vm_slot *s)
{
	if (s->function->bus)
		pci_unplug(vm->pci, s->function);
	device_free(&s->function->device);
	memmove(s, s + 1, (size_t)(vm->slots + vm->nslots - (s + 1)) * sizeof(*s));
	vm->nslots--;
}

static void vm_ejected(void *arg, struct pci_function *f)
{
	struct vm *vm = arg;
	bool held;

	// What nobody asked for stays: a guest that lets go of it finds it again.
	for (unsigned i = 0; i < vm->nslots; i++)
		if (vm->slots[i].function == f && vm->slots[i].leaving) {
			held = vm_hold(vm);
			slot_free(vm, &vm->slots[i]);
			vm_release(vm, held);
			return;
		}
}

static const struct pci_host_ops host_ops = {
	.msi = vm_msi,
	.doorbell = kvm_doorbell,
	.msi_fd = kvm_msi_fd,
	.hotplug = vm_hotplug,
	.ejected = vm_ejected,
};

/* A place for 64-bit BARs that the guest's CPUs can address and no RAM will need; 0 without. */
static uint64_t window64_find(const struct vm *vm)
{
	unsigned a = 0, b, c, d;
	uint64_t base = 256 * GIB;
	unsigned bits = __get_cpuid(0x80000008, &a, &b, &c, &d) ? a & 0xff : 36;

	for (unsigned i = 0; i < vm->mem.nregions; i++) {
		uint64_t end = vm->mem.regions[i].gpa + vm->mem.regions[i].len;

		if (end > base)
			base = (end + PCI_WINDOW64_LEN - 1) & ~(PCI_WINDOW64_LEN - 1);
	}
	return bits < 64 && base + PCI_WINDOW64_LEN > 1ull << bits ? 0 : base;
}

int vm_pci_new(struct vm *vm, struct err *e)
{
	uint64_t window64 = window64_find(vm);
	struct device *d;
	int r = pci_bus_new(&host_ops, vm, vm->host->loop, window64, &vm->pci, e);

	if (r < 0)
		return r;
	pci_set_cf9(vm->pci, pm_device(vm->pm), 1);
	d = pci_bus_device(vm->pci);
	r = iobus_attach(&vm->pio, PCI_CONFIG_PORT, PCI_CONFIG_PORTS, d, 0, e);
	if (r == 0)
		r = iobus_attach(&vm->pio, PCI_HOTPLUG_PORT, PCI_HOTPLUG_PORTS, d, 1, e);
	if (r == 0)
		r = iobus_attach(&vm->mmio, PCI_ECAM_BASE, PCI_ECAM_LEN, d, 2, e);
	if (r == 0)
		r = iobus_attach(&vm->mmio, PCI_WINDOW32, PCI_WINDOW32_LEN, d, 3, e);
	if (r == 0 && window64)
		r = iobus_attach(&vm->mmio, window64, PCI_WINDOW64_LEN, d, 4, e);
	return r;
}

void vm_pci_free(struct vm *vm)
{
	while (vm->nslots)
		slot_free(vm, &vm->slots[vm->nslots - 1]);
	if (vm->pci)
		device_free(pci_bus_device(vm->pci));
	vm->pci = NULL;
}

/* ---- plugging ---- */

struct vm_slot *vm_find_slot(struct vm *vm, enum part_kind kind, const char *name)
{
	for (unsigned i = 0; i < vm->nslots; i++)
		if (vm->slots[i].kind == kind && !strcmp(vm->slots[i].name, name))
			return &vm->slots[i];
	return NULL;
}

int vm_slot_pause(struct vm_slot *s, struct err *e)
{
	return s->function->device.ops->pause(&s->function->device, e);
}

void vm_slot_resume(struct vm_slot *s)
{
	s->function->device.ops->resume(&s->function->device);
}

void vm_slot_reset(struct vm_slot *s)
{
	device_reset(&s->function->device);
}

int vm_plug(struct vm *vm, enum part_kind kind, const char *name, struct virtio_device *d,
	    struct err *e)
{
	struct vm_slot s = { .kind = kind, .device = d };
	bool held;
	int r = virtio_pci_new(d, &s.function, e);

	if (r < 0)
		return r;
	snprintf(s.name, sizeof(s.name), "%s", name);
	held = vm_hold(vm);
	r = pci_plug(vm->pci, s.function, 0, vm->built, e);
	if (r == 0)
		vm->slots[vm->nslots++] = s;
	// A machine that stands still stays so: the device too, until it runs again.
	if (r == 0 && vm->devices_paused)
		r = vm_slot_pause(&s, e);
	vm_release(vm, held);
	if (r < 0)
		device_free(&s.function->device);
	return r;
}

void vm_ask_unplug(struct vm *vm, struct vm_slot *s)
{
	s->leaving = true;
	pci_ask_eject(vm->pci, s->function);
}

void vm_drop_leaving(struct vm *vm)
{
	for (unsigned i = vm->nslots; i-- > 0;)
		if (vm->slots[i].leaving)
			slot_free(vm, &vm->slots[i]);
}
