/* A machine's virtio devices and its configuration: see vm_parts.h. */
#include "vmm/vm_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/base/text.h"
#include "vmm/virtio/virtio_balloon.h"
#include "vmm/virtio/virtio_console.h"
#include "vmm/virtio/virtio_mem.h"
#include "vmm/virtio/virtio_rng.h"
#include "vmm/vm.h"

static const struct part_ops *const part_kinds[] = { &disk_part_ops, &nic_part_ops,
						     &share_part_ops };

#define KINDS (sizeof(part_kinds) / sizeof(part_kinds[0]))

void part_prefix(struct err *e, const struct part_ops *ops, const char *name)
{
	char prefix[100];

	snprintf(prefix, sizeof(prefix), "%s/%s/", ops->word, name);
	err_prefix(e, prefix);
}

/* ---- at the start ---- */

static int plug_part(struct vm *vm, const struct part_ops *ops, const struct part *p, struct err *e)
{
	struct virtio_device *d;
	int r = ops->make(vm, p, &d, e);

	if (r < 0) {
		part_prefix(e, ops, p->name);
		return r;
	}
	r = vm_plug(vm, ops->kind, p->name, d, e);
	if (r < 0)
		part_prefix(e, ops, p->name);
	return r;
}

static int plug_rng(struct vm *vm, struct err *e)
{
	struct virtio_device *d;
	int r = virtio_rng_new(&vm->virtio_env, &d, e);

	return r < 0 ? r : vm_plug(vm, PART_KINDS, "rng", d, e);
}

static int plug_console(struct vm *vm, struct err *e)
{
	struct virtio_device *d;
	int r = virtio_console_new(&vm->virtio_env, vm_printed_hvc, vm, &d, e);

	if (r == 0)
		r = vm_plug(vm, PART_KINDS, "console", d, e);
	if (r == 0)
		vm->hvc = d;
	return r;
}

static int plug_balloon(struct vm *vm, struct err *e)
{
	_Static_assert(COUNTER_BALLOON_END - COUNTER_BALLOON == BALLOON_FIGURES, "figures");
	int r = virtio_balloon_new(&vm->virtio_env, &vm->mem, &vm->host->counters[COUNTER_BALLOON],
				   &vm->balloon, e);

	if (r < 0)
		return r;
	virtio_balloon_want(vm->balloon, vm->host->config->vm.memory_balloon);
	return vm_plug(vm, PART_KINDS, "balloon", vm->balloon, e);
}

/* Memory that may come. */
static int plug_memory(struct vm *vm, struct err *e)
{
	int r;

	if (!vm->mem.hot.len)
		return 0;
	r = virtio_mem_new(&vm->virtio_env, &vm->mem, &vm->host->counters[COUNTER_MEMORY_PLUGGED],
			   &vm->hotmem, e);
	return r < 0 ? r : vm_plug(vm, PART_KINDS, "mem", vm->hotmem, e);
}

int vm_parts_new(struct vm *vm, struct err *e)
{
	const struct machine_config *c = vm->host->config;
	int r = 0;

	for (size_t k = 0; k < KINDS; k++) {
		const struct parts *parts = &c->parts[part_kinds[k]->kind];

		for (size_t i = 0; r == 0 && i < parts->n; i++)
			r = plug_part(vm, part_kinds[k], &parts->list[i], e);
	}
	if (r == 0)
		r = vm_vsock_plug(vm, e);
	if (r == 0 && c->vm.serial != SERIAL_UART)
		r = plug_console(vm, e);
	if (r == 0 && c->vm.rng)
		r = plug_rng(vm, e);
	if (r == 0)
		r = plug_balloon(vm, e);
	return r == 0 ? plug_memory(vm, e) : r;
}

/* ---- while it runs ---- */

/* What is under way, so that all of it or nothing happens. */
struct change {
	const struct part_ops *ops;
	const struct part *now, *next; /* both: changed; one: goes or comes */
	struct virtio_device *made;    /* of one that comes, until it is plugged */
	bool done;
};

/* A name's part; the guest may still have what bore it before. */
static int change_find(struct vm *vm, struct change *c, struct err *e)
{
	const char *name = c->next ? c->next->name : c->now->name;
	struct vm_slot *s = vm_find_slot(vm, c->ops->kind, name);

	if (c->next && s && s->leaving)
		return err_set(e, -EBUSY, "%s/%s: the guest has not yet let go of it", c->ops->word,
			       name);
	return 0;
}

static size_t changes_collect(struct vm *vm, const struct machine_config *next, struct change *list)
{
	size_t n = 0;

	for (size_t k = 0; k < KINDS; k++) {
		const struct part_ops *ops = part_kinds[k];
		const struct parts *is = &vm->host->config->parts[ops->kind];
		const struct parts *will = &next->parts[ops->kind];

		for (size_t i = 0; i < will->n; i++)
			list[n++] = (struct change){ .ops = ops,
						     .now = parts_find(is, will->list[i].name),
						     .next = &will->list[i] };
		for (size_t i = 0; i < is->n; i++)
			if (!parts_find(will, is->list[i].name))
				list[n++] = (struct change){ .ops = ops, .now = &is->list[i] };
	}
	return n;
}

/* Devices that come are made, those that stay are changed. */
static int change_begin(struct vm *vm, struct change *c, struct err *e)
{
	struct vm_slot *s;
	int r = change_find(vm, c, e);

	if (r < 0 || !c->next)
		return r;
	s = vm_find_slot(vm, c->ops->kind, c->next->name);
	if (!s)
		r = c->ops->make(vm, c->next, &c->made, e);
	else if (c->now && c->ops->change)
		r = c->ops->change(s->device, c->now, c->next, e);
	if (r < 0)
		part_prefix(e, c->ops, c->next->name);
	c->done = r == 0;
	return r;
}

static void change_undo(struct vm *vm, struct change *c)
{
	struct vm_slot *s;

	if (!c->done)
		return;
	s = vm_find_slot(vm, c->ops->kind, c->next->name);
	if (c->made)
		virtio_free(c->made);
	else if (s && c->now && c->ops->change)
		(void)c->ops->change(s->device, c->next, c->now, NULL);
	c->made = NULL;
}

/* Plugs in what was made; room on the bus was seen to before. */
static int change_finish(struct vm *vm, struct change *c, struct err *e)
{
	struct vm_slot *s = c->next ? NULL : vm_find_slot(vm, c->ops->kind, c->now->name);
	int r = 0;

	if (s)
		vm_ask_unplug(vm, s);
	if (c->made)
		r = vm_plug(vm, c->ops->kind, c->next->name, c->made, e);
	c->made = NULL;
	return r;
}

int vm_parts_configure(struct vm *vm, const struct machine_config *next, struct err *e)
{
	struct change *list = calloc(KINDS * 2 * PARTS_MAX, sizeof(*list));
	size_t n, coming = 0;
	int r = 0;

	if (!list)
		return err_sys(e, ENOMEM, "devices");
	n = changes_collect(vm, next, list);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = change_begin(vm, &list[i], e);
		coming += list[i].made != NULL;
	}
	if (r == 0 && coming > VM_SLOTS - vm->nslots)
		r = err_set(e, -ENOSPC, "the PCI bus has no more free slots");
	for (size_t i = 0; r < 0 && i < n; i++)
		change_undo(vm, &list[i]);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = change_finish(vm, &list[i], e);
	for (size_t i = 0; i < n; i++)
		if (list[i].made)
			virtio_free(list[i].made);
	free(list);
	return r;
}
