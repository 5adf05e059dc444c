/* share/NAME: from a part of the configuration to a virtiofs device, served by virtiofsd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/virtio/virtio_fs.h"
#include "vmm/vm.h"
#include "vmm/vm_parts.h"

/* The first share of a machine that was started without one. */
static int share_memory(struct vm *vm, struct err *e)
{
	bool paused = vm_paused(vm);
	int r;

	if (vm->mem.fd >= 0)
		return 0;
	r = vm_pause(vm, e);
	if (r < 0)
		return r;
	r = guestmem_share(&vm->mem, e);
	if (!paused)
		vm_run(vm);
	return r;
}

static int share_make(struct vm *vm, const struct part *p, struct virtio_device **ret,
		      struct err *e)
{
	int server = engine_take_fd(vm->host, PART_SHARE, p->name, 1), r;
	char id[80];

	if (server < 0)
		return err_set(e, -EIO, "path: nobody serves it");
	r = share_memory(vm, e);
	if (r < 0) {
		close(server);
		return err_prefix(e, "path: ");
	}
	snprintf(id, sizeof(id), "share/%s", p->name);
	r = virtio_fs_new(&vm->virtio_env, id, p->name, server, ret, e);
	return r < 0 ? err_prefix(e, "path: ") : 0;
}

static int share_change(struct virtio_device *d, const struct part *now, const struct part *next,
			struct err *e)
{
	const char *fixed = strcmp(now->share.path, next->share.path)	  ? "path"
			    : now->share.readonly != next->share.readonly ? "readonly"
									  : NULL;

	return fixed ? err_set(e, -ENXIO, "%s: the guest has the share; unplug it first", fixed)
		     : 0;
}

const struct part_ops share_part_ops = {
	.kind = PART_SHARE,
	.word = "share",
	.make = share_make,
	.change = share_change,
};
