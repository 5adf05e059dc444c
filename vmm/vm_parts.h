/*
 * A machine's virtio devices, made from its configuration and changed with it: the parts (disk/,
 * nic/, share/) in their order, then what the machine has one of. A kind of part is one row of the
 * table in vm_parts.c. Loop thread.
 */
#ifndef VMM_VM_PARTS_H
#define VMM_VM_PARTS_H

#include "backends/base/err.h"
#include "backends/config.h"
#include "vmm/virtio/virtio.h"

struct vm;

struct part_ops {
	enum part_kind kind;
	const char *word; /* "disk" */
	/* Makes its device; takes what descriptors it needs from the host (engine_take_fd()). */
	int (*make)(struct vm *vm, const struct part *p, struct virtio_device **ret, struct err *e);
	/*
	 * Makes a running device what `next` says. All or nothing; ENXIO for what cannot change,
	 * with the file's name in the sentence ("readonly: ..."): the caller puts disk/NAME/ in
	 * front. NULL: nothing can.
	 */
	int (*change)(struct virtio_device *d, const struct part *now, const struct part *next,
		      struct err *e);
};

extern const struct part_ops disk_part_ops, nic_part_ops, share_part_ops; /* vm_disk.c ... */

/* vm_vsock.c: the machine's vsock device, if it has one. */
int vm_vsock_plug(struct vm *vm, struct err *e);
/* All that the configuration says, plugged in. */
int vm_parts_new(struct vm *vm, struct err *e);
/* What differs between the machine's configuration and next: all or nothing. */
int vm_parts_configure(struct vm *vm, const struct machine_config *next, struct err *e);

/* The sentence-making half of a prefix: "disk/root/" before what e says. */
void part_prefix(struct err *e, const struct part_ops *ops, const char *name);

#endif
