/* The PCI transport, saved and loaded. */
#include <errno.h>
#include <stdlib.h>

#include "vmm/virtio/virtio_pci_priv.h"

void vp_save(struct device *d, struct record *r)
{
	struct virtio_pci *vp = vp_of_device(d);

	record_put_u8(r, 1);
	pci_function_save(&vp->pci, r);
	record_put_u64(r, vp->driver_features);
	record_put_u32(r, vp->device_select);
	record_put_u32(r, vp->driver_select);
	record_put_u32(r, vp->queue_select | (uint32_t)atomic_load(&vp->config_vector) << 16);
	record_put(r, (uint8_t[]){ vp->status, vp->generation, atomic_load(&vp->isr) }, 3);
	record_put(r, (uint8_t[]){ vp->reset_wanted, vp->started, vp->virtio->failed }, 3);
	record_put_u32(r, vp->virtio->nqueues);
	for (unsigned i = 0; i < vp->virtio->nqueues; i++) {
		const struct vp_queue *q = &vp->queues[i];

		record_put_u32(r, q->setup.size | (uint32_t)atomic_load(&q->vector) << 16);
		record_put_u8(r, q->setup.enabled);
		record_put_u64(r, q->setup.desc);
		record_put_u64(r, q->setup.avail);
		record_put_u64(r, q->setup.used);
		virtq_save(&vp->virtio->queues[i], r);
	}
	vp->virtio->ops->save(vp->virtio, r);
}

static void vp_load_queue(struct virtio_pci *vp, unsigned i, struct record *r)
{
	struct vp_queue *q = &vp->queues[i];
	uint32_t v = record_get_u32(r);

	q->setup.size = (uint16_t)v; // virtq_start() looks at it
	atomic_store(&q->vector, vp_vector(vp, v >> 16));
	q->setup.enabled = record_get_u8(r) & 1;
	q->setup.desc = record_get_u64(r);
	q->setup.avail = record_get_u64(r);
	q->setup.used = record_get_u64(r);
	virtq_load(&vp->virtio->queues[i], r);
}

/* Everything between the PCI registers and what the device itself knows. */
static int vp_load_registers(struct virtio_pci *vp, struct record *r)
{
	uint8_t bytes[6];
	uint32_t v;

	vp->driver_features = record_get_u64(r);
	vp->device_select = record_get_u32(r);
	vp->driver_select = record_get_u32(r);
	v = record_get_u32(r);
	vp->queue_select = (uint16_t)v;
	atomic_store(&vp->config_vector, vp_vector(vp, v >> 16));
	record_get(r, bytes, sizeof(bytes));
	vp->status = bytes[0] & (STATUS_DRIVER | VIRTIO_CONFIG_S_NEEDS_RESET);
	vp->generation = bytes[1];
	atomic_store(&vp->isr, bytes[2]);
	vp->reset_wanted = bytes[3] & 1;
	vp->started = bytes[4] & 1;
	vp->virtio->failed = bytes[5] & 1;
	if (record_get_u32(r) != vp->virtio->nqueues)
		return -EINVAL;
	for (unsigned i = 0; i < vp->virtio->nqueues; i++)
		vp_load_queue(vp, i, r);
	if (vp->started && ((vp->driver_features & ~vp->virtio->offered) ||
			    (vp->status & STATUS_RUN) != STATUS_RUN))
		return -EINVAL;
	vp->virtio->features = vp->started ? vp->driver_features : 0;
	return r->failed ? -EINVAL : 0;
}

/* On failure half of the transport's part is loaded: the caller puts back what was. */
static int vp_load_all(struct virtio_pci *vp, struct record *r, struct err *e)
{
	if (record_get_u8(r) != 1 || pci_function_load(&vp->pci, r, e) < 0 ||
	    vp_load_registers(vp, r) < 0 || vp->virtio->ops->load(vp->virtio, r, e) < 0)
		return err_set(e, -EINVAL, "%s: not a state that this version can load",
			       vp->virtio->id);
	return 0;
}

/* The device itself has refused, and is as it was. */
static void vp_put_back(struct virtio_pci *vp, struct record *before)
{
	record_get_u8(before);
	(void)pci_function_load(&vp->pci, before, NULL);
	(void)vp_load_registers(vp, before);
}

int vp_load(struct device *d, struct record *r, struct err *e)
{
	struct virtio_pci *vp = vp_of_device(d);
	struct record *before = calloc(1, sizeof(*before));
	int ret;

	if (!before)
		return err_sys(e, ENOMEM, "%s", vp->virtio->id);
	vp_save(d, before);
	ret = vp_load_all(vp, r, e);
	if (ret < 0)
		vp_put_back(vp, before);
	free(before);
	vp_connect(vp);
	return ret;
}
