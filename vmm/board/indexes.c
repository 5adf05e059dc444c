/* struct indexes: see indexes.h. */
#include "vmm/board/indexes.h"

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/board/ioapic.h"
#include "vmm/board/rtc.h"
#include "vmm/pci/pci.h"

/* Within PCI's there is the reset register; ACPI names another to the guest (pm.h). */
static const struct kvm_coalesced_mmio_zone registers[] = {
	{ .addr = PCI_CONFIG_PORT, .size = 4, .pio = 1 },
	{ .addr = IOAPIC_BASE, .size = 4 },
	{ .addr = RTC_PORT, .size = 1, .pio = 1 },
};

#define REGISTERS (sizeof(registers) / sizeof(registers[0]))

void indexes_init(struct indexes *x)
{
	*x = (struct indexes){ .vm = -1 };
	pthread_mutex_init(&x->lock, NULL);
}

void indexes_destroy(struct indexes *x)
{
	pthread_mutex_destroy(&x->lock);
}

void indexes_begin(struct indexes *x, int kvm, int vm, void *run)
{
	int page = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	size_t size = (size_t)sysconf(_SC_PAGESIZE);

	x->vm = vm;
	x->ports = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_PIO) > 0;
	atomic_store(&x->known, 0);
	x->max = (uint32_t)((size - sizeof(*x->ring)) / sizeof(struct kvm_coalesced_mmio));
	if (page > 0)
		x->ring = (void *)((char *)run + (size_t)page * size);
}

void indexes_end(struct indexes *x)
{
	x->ring = NULL;
}

void indexes_written(struct indexes *x, bool port, uint64_t addr)
{
	for (unsigned i = 0; x->ring && i < REGISTERS; i++) {
		struct kvm_coalesced_mmio_zone zone = registers[i];

		if (zone.addr != addr || (zone.pio != 0) != port || (port && !x->ports))
			continue;
		/* Where it is refused the guest goes on leaving for each. */
		if (!(atomic_fetch_or(&x->known, 1u << i) >> i & 1))
			(void)ioctl(x->vm, KVM_REGISTER_COALESCED_MMIO, &zone);
	}
}

/* The kernel moves `last` on when an entry is whole. */
static bool indexes_waiting(struct indexes *x)
{
	return x->ring && __atomic_load_n(&x->ring->first, __ATOMIC_ACQUIRE) !=
				  __atomic_load_n(&x->ring->last, __ATOMIC_ACQUIRE);
}

/*
 * An entry is there until it has been written: who finds none may rely upon it. A device must not
 * wait for a vCPU in its write, since others wait for the lock.
 */
void indexes_finish(struct indexes *x, const struct iobus *ports, const struct iobus *mmio)
{
	if (!indexes_waiting(x))
		return;
	pthread_mutex_lock(&x->lock);
	while (indexes_waiting(x)) {
		uint32_t first = x->ring->first;
		const struct kvm_coalesced_mmio *w = &x->ring->coalesced_mmio[first % x->max];
		uint32_t len = w->len <= sizeof(w->data) ? w->len : sizeof(w->data);
		uint64_t value = 0;

		memcpy(&value, w->data, len);
		iobus_write(w->pio ? ports : mmio, w->phys_addr, len, value);
		__atomic_store_n(&x->ring->first, (first + 1) % x->max, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&x->lock);
}
