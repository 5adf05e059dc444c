/* The registers of the PCI transport (4.1.4): what vCPU threads read and write. */
#include <string.h>

#include "vmm/virtio/virtio_pci_priv.h"

/* ---- registers (4.1.4.3); the lock is held ---- */

static struct vp_queue *vp_selected(struct virtio_pci *vp)
{
	return vp->queue_select < vp->virtio->nqueues ? &vp->queues[vp->queue_select] : NULL;
}

static void vp_show_common(struct virtio_pci *vp, struct virtio_pci_common_cfg *c)
{
	struct vp_queue *q = vp_selected(vp);

	*c = (struct virtio_pci_common_cfg){
		.device_feature_select = vp->device_select,
		.guest_feature_select = vp->driver_select,
		.msix_config = atomic_load(&vp->config_vector),
		.num_queues = (uint16_t)vp->virtio->nqueues,
		.device_status = vp->status,
		.config_generation = vp->generation,
		.queue_select = vp->queue_select,
		.queue_msix_vector = NO_VECTOR,
	};
	if (vp->device_select < 2)
		c->device_feature = (uint32_t)(vp->virtio->offered >> (32 * vp->device_select));
	if (vp->driver_select < 2)
		c->guest_feature = (uint32_t)(vp->driver_features >> (32 * vp->driver_select));
	if (!q)
		return;
	c->queue_size = q->setup.size;
	c->queue_msix_vector = atomic_load(&q->vector);
	c->queue_enable = q->setup.enabled;
	c->queue_notify_off = vp->queue_select;
	c->queue_desc_lo = (uint32_t)q->setup.desc;
	c->queue_desc_hi = (uint32_t)(q->setup.desc >> 32);
	c->queue_avail_lo = (uint32_t)q->setup.avail;
	c->queue_avail_hi = (uint32_t)(q->setup.avail >> 32);
	c->queue_used_lo = (uint32_t)q->setup.used;
	c->queue_used_hi = (uint32_t)(q->setup.used >> 32);
}

static void vp_write_status(struct virtio_pci *vp, uint8_t v)
{
	if (vp->reset_wanted)
		return;
	if (v == 0) {
		vp->reset_wanted = vp->status != 0;
	} else {
		v &= STATUS_DRIVER;
		if ((v & ~vp->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
		    ((vp->driver_features & ~vp->virtio->offered) ||
		     !(vp->driver_features & VIRTIO_VERSION_1)))
			v &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
		vp->status |= v;
	}
	vp_fd_signal(vp->work_fd);
}

static void vp_write_features(struct virtio_pci *vp, uint32_t v)
{
	unsigned shift = 32 * vp->driver_select;

	if (vp->driver_select > 1 || (vp->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	vp->driver_features &= ~(0xffffffffull << shift);
	vp->driver_features |= (uint64_t)v << shift;
}

static void put_half(uint64_t *address, bool high, uint32_t v)
{
	*address = high ? (*address & 0xffffffff) | (uint64_t)v << 32
			: (*address & ~0xffffffffull) | v;
}

/* The registers of the selected queue; they stand still once it is enabled. */
static void vp_write_queue(struct virtio_pci *vp, uint64_t offset, uint32_t v)
{
	struct vp_queue *q = vp_selected(vp);
	struct virtq_setup *s = &q->setup;

	if (offset == VIRTIO_PCI_COMMON_Q_MSIX) {
		atomic_store(&q->vector, vp_vector(vp, v));
		return;
	}
	if (s->enabled || vp->reset_wanted || (vp->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (v && v <= vp->virtio->queue_size && !(v & (v - 1)))
			s->size = (uint16_t)v;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		s->enabled = v == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		put_half(&s->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, v);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		put_half(&s->avail, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, v);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		put_half(&s->used, offset == VIRTIO_PCI_COMMON_Q_USEDHI, v);
		break;
	}
}

static void vp_write_common(struct virtio_pci *vp, uint64_t offset, uint32_t v)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		vp->device_select = v;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		vp->driver_select = v;
		break;
	case VIRTIO_PCI_COMMON_GF:
		vp_write_features(vp, v);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		atomic_store(&vp->config_vector, vp_vector(vp, v));
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		vp_write_status(vp, (uint8_t)v);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		vp->queue_select = (uint16_t)v;
		break;
	default:
		if (vp_selected(vp))
			vp_write_queue(vp, offset, v);
	}
}

/* ---- device configuration ---- */

static uint64_t vp_read_config(struct virtio_device *d, uint64_t offset, unsigned size)
{
	uint64_t v = 0;

	if (offset >= d->config_len || size > d->config_len - offset)
		return 0;
	pthread_mutex_lock(&d->lock);
	d->ops->config_read(d, (unsigned)offset, &v, size);
	pthread_mutex_unlock(&d->lock);
	return v;
}

static void vp_write_config(struct virtio_device *d, uint64_t offset, unsigned size, uint64_t v)
{
	if (offset >= d->config_len || size > d->config_len - offset || !d->ops->config_write)
		return;
	pthread_mutex_lock(&d->lock);
	d->ops->config_write(d, (unsigned)offset, &v, size);
	pthread_mutex_unlock(&d->lock);
}

/* ---- the BAR ---- */

uint64_t vp_bar_read(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size)
{
	struct virtio_pci *vp = vp_of(f);
	struct virtio_pci_common_cfg common;
	uint64_t v = 0;

	if (offset >= VP_CONFIG && offset < VP_NOTIFY)
		return vp_read_config(vp->virtio, offset - VP_CONFIG, size);
	if (offset >= VP_ISR && offset < VP_CONFIG)
		return offset == VP_ISR ? atomic_exchange(&vp->isr, 0) : 0;
	if (offset >= sizeof(common) || size > sizeof(common) - offset)
		return 0;
	pthread_mutex_lock(&vp->lock);
	vp_show_common(vp, &common);
	pthread_mutex_unlock(&vp->lock);
	memcpy(&v, (const char *)&common + offset, size);
	return v;
}

void vp_bar_write(struct pci_function *f, unsigned bar, uint64_t offset, unsigned size,
		  uint64_t value)
{
	struct virtio_pci *vp = vp_of(f);

	if (offset < VP_ISR) {
		pthread_mutex_lock(&vp->lock);
		vp_write_common(vp, offset, (uint32_t)value);
		pthread_mutex_unlock(&vp->lock);
	} else if (offset >= VP_CONFIG && offset < VP_NOTIFY) {
		vp_write_config(vp->virtio, offset - VP_CONFIG, size, value);
	} else if (offset >= VP_NOTIFY && offset < VP_NOTIFY + 4 * (uint64_t)vp->virtio->nqueues) {
		vp_fd_signal(vp->queues[(offset - VP_NOTIFY) / 4].kick_fd);
	}
}

/* The window through which a BAR is reached from configuration space (4.1.4.9). */
bool vp_config(struct pci_function *f, bool write, unsigned offset, unsigned size, uint32_t *value)
{
	struct virtio_pci *vp = vp_of(f);
	unsigned data = vp->cfg_window + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	struct virtio_pci_cap cap;

	if (offset != data)
		return false;
	memcpy(&cap, f->config + vp->cfg_window, sizeof(cap));
	if (cap.bar != VP_BAR || cap.length != size || cap.offset % size || cap.offset >= VP_TABLE)
		return false;
	if (write)
		vp_bar_write(f, cap.bar, cap.offset, size, *value);
	else
		*value = (uint32_t)vp_bar_read(f, cap.bar, cap.offset, size);
	return true;
}
