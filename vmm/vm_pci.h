/*
 * A machine's PCI bus on KVM, and what is plugged into it: interrupts by KVM_SIGNAL_MSI (or irqfd,
 * for who has only an eventfd), doorbells by ioeventfd, plugging by pm.h's event.
 *
 * The functions that a machine has are in vm->slots, in the order in which they were plugged;
 * that is also the order of their PCI slots at start. Loop thread.
 */
#ifndef VMM_VM_PCI_H
#define VMM_VM_PCI_H

#include "backends/config.h"
#include "vmm/pci/pci.h"
#include "vmm/virtio/virtio.h"

struct vm;

#define VM_SLOTS (PCI_SLOTS - 1)

/* Something on the bus. */
struct vm_slot {
	enum part_kind kind; /* PART_KINDS: no part but the machine's own */
	char name[64];	     /* the part's, or the device's */
	struct virtio_device *device;
	struct pci_function *function;
	bool leaving; /* the guest was asked to let go */
};

/* The bus, and its ranges on the I/O buses. */
int vm_pci_new(struct vm *vm, struct err *e);
/* Everything that is plugged, then the bus. vCPUs and loop do nothing with it any more. */
void vm_pci_free(struct vm *vm);

/*
 * Plugs a device in, which it takes over also when it fails. A machine that has been running is
 * held meanwhile, and its guest told.
 */
int vm_plug(struct vm *vm, enum part_kind kind, const char *name, struct virtio_device *d,
	    struct err *e);
/* Asks the guest to let go; the slot disappears when it has. */
void vm_ask_unplug(struct vm *vm, struct vm_slot *s);
struct vm_slot *vm_find_slot(struct vm *vm, enum part_kind kind, const char *name);

int vm_slot_pause(struct vm_slot *s, struct err *e);
void vm_slot_resume(struct vm_slot *s);
void vm_slot_reset(struct vm_slot *s);

/* At a reset nobody needs to be asked any more. vCPUs stand still, devices are paused. */
void vm_drop_leaving(struct vm *vm);

#endif
