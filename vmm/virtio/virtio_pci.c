/* virtio_pci: see virtio_pci.h. Here: starting, stopping, and what devices ask for. */
#include "vmm/virtio/virtio_pci.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vmm/virtio/virtio_pci_priv.h"

#define VENDOR	    0x1af4
#define DEVICE_BASE 0x1040 /* plus the device's type (4.1.2) */

/* ---- doorbells ---- */

/* Bus lock held: where the BAR is cannot change. */
static void vp_moved(struct pci_function *f)
{
	struct virtio_pci *vp = vp_of(f);
	uint64_t base = f->bar[VP_BAR].base;
	uint64_t at = base && atomic_load(&vp->doorbells) ? base + VP_NOTIFY : 0;

	if (at == vp->doorbells_at)
		return;
	for (unsigned i = 0; i < vp->virtio->nqueues; i++) {
		int fd = vp->queues[i].kick_fd;

		if (vp->doorbells_at)
			pci_doorbell(f, vp->doorbells_at + 4 * i, fd, false);
		if (at && vp->queues[i].setup.enabled)
			pci_doorbell(f, at + 4 * i, fd, true);
	}
	vp->doorbells_at = at;
}

static void vp_set_doorbells(struct virtio_pci *vp, bool on)
{
	atomic_store(&vp->doorbells, on);
	pci_refresh(&vp->pci);
}

/* ---- the loop: starting, resetting, kicks ---- */

static void vp_kicked(int fd, short what, void *arg)
{
	struct vp_queue *q = arg;
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	virtio_kick(q->owner->virtio, q->index);
}

/* The kicks of queues that the device serves on this loop. */
static int vp_listen(struct virtio_pci *vp, struct err *e)
{
	const struct virtio_device *d = vp->virtio;

	for (unsigned i = 0; i < d->nqueues; i++) {
		bool others = d->ops->own_kicks && d->ops->own_kicks(d, i);

		if (!vp->queues[i].setup.enabled || others)
			event_del(vp->queues[i].kick_event);
		else if (event_add(vp->queues[i].kick_event, NULL) < 0)
			return err_sys(e, ENOMEM, "%s", d->id);
	}
	return 0;
}

/* Lets the device go, from where its queues stand. */
static void vp_run(struct virtio_pci *vp)
{
	struct virtq_setup setups[VIRTIO_QUEUES_MAX];
	struct err e = { 0 };

	for (unsigned i = 0; i < vp->virtio->nqueues; i++)
		setups[i] = vp->queues[i].setup;
	if (virtio_start(vp->virtio, setups, &e) < 0 || vp_listen(vp, &e) < 0)
		virtio_fail(vp->virtio, "%s", e.text);
}

static void vp_restart(void *transport)
{
	struct virtio_pci *vp = transport;

	virtio_stop(vp->virtio);
	vp_run(vp);
}

static void vp_start(struct virtio_pci *vp)
{
	vp->started = true;
	vp->virtio->features = vp->driver_features;
	vp_set_doorbells(vp, true);
	vp_run(vp);
}

static void vp_clear_registers(struct virtio_pci *vp)
{
	pthread_mutex_lock(&vp->lock);
	vp->driver_features = 0;
	vp->device_select = vp->driver_select = 0;
	vp->queue_select = 0;
	vp->reset_wanted = false;
	atomic_store(&vp->config_vector, NO_VECTOR);
	atomic_store(&vp->isr, 0);
	for (unsigned i = 0; i < vp->virtio->nqueues; i++) {
		vp->queues[i].setup = (struct virtq_setup){ .size = vp->virtio->queue_size };
		atomic_store(&vp->queues[i].vector, NO_VECTOR);
	}
	vp->status = 0; // the driver polls for it: last
	pthread_mutex_unlock(&vp->lock);
}

/* The device is settled. */
static void vp_finish_reset(struct virtio_pci *vp)
{
	for (unsigned i = 0; i < vp->virtio->nqueues; i++)
		if (vp->queues[i].kick_event)
			event_del(vp->queues[i].kick_event);
	vp_set_doorbells(vp, false);
	virtio_reset(vp->virtio);
	vp->started = false;
	vp_clear_registers(vp);
}

static void vp_work(struct virtio_pci *vp)
{
	bool reset, start;

	if (vp->paused)
		return;
	pthread_mutex_lock(&vp->lock);
	reset = vp->reset_wanted;
	start = !reset && !vp->started && (vp->status & STATUS_RUN) == STATUS_RUN;
	pthread_mutex_unlock(&vp->lock);
	if (reset) {
		virtio_stop(vp->virtio);
		if (virtio_is_settled(vp->virtio))
			vp_finish_reset(vp); // else vp_settled() does
	} else if (start) {
		vp_start(vp);
	}
}

static void vp_worked(int fd, short what, void *arg)
{
	uint64_t count;

	(void)!read(fd, &count, sizeof(count));
	vp_work(arg);
}

/* ---- what devices ask for ---- */

static void vp_signal(struct virtio_pci *vp, uint16_t vector, uint8_t isr)
{
	if (vector == NO_VECTOR)
		atomic_fetch_or(&vp->isr, isr);
	else
		pci_msix_signal(&vp->pci, vector);
}

static void vp_notify_queue(void *transport, unsigned queue)
{
	struct virtio_pci *vp = transport;

	vp_signal(vp, atomic_load(&vp->queues[queue].vector), ISR_QUEUE);
}

static void vp_notify_config(void *transport)
{
	struct virtio_pci *vp = transport;
	bool wanted;

	pthread_mutex_lock(&vp->lock);
	vp->generation++;
	wanted = vp->status & VIRTIO_CONFIG_S_DRIVER_OK;
	pthread_mutex_unlock(&vp->lock);
	if (wanted)
		vp_signal(vp, atomic_load(&vp->config_vector), ISR_CONFIG);
}

static void vp_kick_again(void *transport, unsigned queue)
{
	struct virtio_pci *vp = transport;

	vp_fd_signal(vp->queues[queue].kick_fd);
}

static void vp_needs_reset(void *transport)
{
	struct virtio_pci *vp = transport;

	pthread_mutex_lock(&vp->lock);
	vp->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	pthread_mutex_unlock(&vp->lock);
	vp_notify_config(vp);
}

static void vp_settled(void *transport)
{
	vp_work(transport);
}

static int vp_kick_fd(void *transport, unsigned queue)
{
	struct virtio_pci *vp = transport;

	return vp->queues[queue].kick_fd;
}

static int vp_call_fd(void *transport, unsigned queue)
{
	struct virtio_pci *vp = transport;

	return pci_msix_fd(&vp->pci, atomic_load(&vp->queues[queue].vector));
}

static const struct virtio_transport_ops vp_transport_ops = {
	.notify_queue = vp_notify_queue,
	.notify_config = vp_notify_config,
	.kick_again = vp_kick_again,
	.needs_reset = vp_needs_reset,
	.settled = vp_settled,
	.restart = vp_restart,
	.kick_fd = vp_kick_fd,
	.call_fd = vp_call_fd,
};

static const struct pci_function_ops vp_function_ops = {
	.bar_read = vp_bar_read,
	.bar_write = vp_bar_write,
	.config = vp_config,
	.moved = vp_moved,
};

/* ---- life of the whole ---- */

static int vp_pause(struct device *d, struct err *e)
{
	struct virtio_pci *vp = vp_of_device(d);
	int r;

	vp_work(vp); // what the driver asked for before
	vp->paused = true;
	virtio_stop(vp->virtio);
	r = virtio_settle(vp->virtio, VIRTIO_SETTLE_MS, e);
	return r;
}

static void vp_resume(struct device *d)
{
	struct virtio_pci *vp = vp_of_device(d);

	if (!vp->paused)
		return;
	vp->paused = false;
	if (vp->started && !vp->reset_wanted)
		vp_run(vp);
	vp_work(vp);
}

static void vp_reset(struct device *d)
{
	struct virtio_pci *vp = vp_of_device(d);

	vp_finish_reset(vp);
	pci_function_reset(&vp->pci);
}

void vp_connect(struct virtio_pci *vp)
{
	struct err e = { 0 };

	for (unsigned i = 0; i < vp->virtio->nqueues; i++)
		event_del(vp->queues[i].kick_event);
	if (vp->started && vp_listen(vp, &e) < 0)
		virtio_fail(vp->virtio, "%s", e.text);
	vp_set_doorbells(vp, false);
	vp_set_doorbells(vp, vp->started);
}

static void vp_free(struct device *d)
{
	struct virtio_pci *vp = vp_of_device(d);

	if (vp->virtio->running)
		virtio_stop(vp->virtio);
	(void)virtio_settle(vp->virtio, VIRTIO_SETTLE_MS, NULL);
	for (unsigned i = 0; i < vp->virtio->nqueues; i++) {
		if (vp->queues[i].kick_event)
			event_free(vp->queues[i].kick_event);
		if (vp->queues[i].kick_fd >= 0)
			close(vp->queues[i].kick_fd);
	}
	if (vp->work_event)
		event_free(vp->work_event);
	if (vp->work_fd >= 0)
		close(vp->work_fd);
	vp->virtio->transport = NULL;
	virtio_free(vp->virtio);
	pci_function_deinit(&vp->pci);
	pthread_mutex_destroy(&vp->lock);
	free(vp);
}

static const struct device_ops vp_device_ops = {
	.name = "virtio",
	.pause = vp_pause,
	.resume = vp_resume,
	.reset = vp_reset,
	.save = vp_save,
	.load = vp_load,
	.free = vp_free,
};

/* ---- making it ---- */

static void vp_add_cap(struct virtio_pci *vp, uint8_t type, uint32_t offset, uint32_t len)
{
	struct virtio_pci_notify_cap c = { .cap = { .cap_len = sizeof(c.cap),
						    .cfg_type = type,
						    .bar = VP_BAR,
						    .offset = offset,
						    .length = len },
					   .notify_off_multiplier = 4 };
	unsigned cap_len = sizeof(c.cap);
	unsigned at;

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		cap_len += 4;
	if (type == VIRTIO_PCI_CAP_PCI_CFG) {
		cap_len += 4;
		c.notify_off_multiplier = 0; // the data window, there
	}
	c.cap.cap_len = (uint8_t)cap_len;
	at = pci_add_capability(&vp->pci, 0x09, (const char *)&c + 2, cap_len - 2);
	if (type != VIRTIO_PCI_CAP_PCI_CFG)
		return;
	vp->cfg_window = at;
	vp->pci.writable[at + offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(vp->pci.writable + at + offsetof(struct virtio_pci_cap, offset), 0xff, 8);
}

static int vp_describe(struct virtio_pci *vp, struct err *e)
{
	const struct virtio_device *d = vp->virtio;
	const struct pci_identity id = { .vendor = VENDOR,
					 .device = (uint16_t)(DEVICE_BASE + d->ops->type),
					 .subvendor = VENDOR,
					 .subdevice = (uint16_t)(DEVICE_BASE + d->ops->type),
					 .revision = 1,
					 .class_code = d->ops->pci_class };

	pci_function_init(&vp->pci, &vp_device_ops, &vp_function_ops, &id);
	pci_set_bar(&vp->pci, VP_BAR, VP_BAR_LEN, true, false);
	vp_add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	if (d->config_len)
		vp_add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, VP_CONFIG, d->config_len);
	vp_add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, VP_NOTIFY, 4 * d->nqueues);
	vp_add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, VP_ISR, 4);
	vp_add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, VP_COMMON, sizeof(struct virtio_pci_common_cfg));
	return pci_set_msix(&vp->pci, d->nqueues + 1, VP_BAR, VP_TABLE, VP_PENDING, e);
}

static int vp_open_events(struct virtio_pci *vp, struct err *e)
{
	struct event_base *loop = vp->virtio->env.loop;

	vp->work_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vp->work_fd < 0)
		return err_sys(e, errno, "eventfd");
	vp->work_event = event_new(loop, vp->work_fd, EV_READ | EV_PERSIST, vp_worked, vp);
	if (!vp->work_event || event_add(vp->work_event, NULL) < 0)
		return err_sys(e, ENOMEM, "event");
	for (unsigned i = 0; i < vp->virtio->nqueues; i++) {
		struct vp_queue *q = &vp->queues[i];

		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick_fd < 0)
			return err_sys(e, errno, "eventfd");
		q->kick_event = event_new(loop, q->kick_fd, EV_READ | EV_PERSIST, vp_kicked, q);
		if (!q->kick_event)
			return err_sys(e, ENOMEM, "event");
	}
	return 0;
}

int virtio_pci_new(struct virtio_device *d, struct pci_function **ret, struct err *e)
{
	struct virtio_pci *vp = calloc(1, sizeof(*vp) + d->nqueues * sizeof(vp->queues[0]));
	int r;

	if (!vp) {
		virtio_free(d);
		return err_sys(e, ENOMEM, "virtio");
	}
	vp->virtio = d;
	vp->work_fd = -1;
	pthread_mutex_init(&vp->lock, NULL);
	for (unsigned i = 0; i < d->nqueues; i++) {
		vp->queues[i].owner = vp;
		vp->queues[i].index = i;
		vp->queues[i].kick_fd = -1;
	}
	vp_clear_registers(vp);
	d->transport_ops = &vp_transport_ops;
	d->transport = vp;
	r = vp_describe(vp, e);
	if (r == 0)
		r = vp_open_events(vp, e);
	if (r < 0) {
		err_prefix(e, "virtio: ");
		vp_free(&vp->pci.device);
		return r;
	}
	*ret = &vp->pci;
	return 0;
}
