/* vsock.cid: the machine's virtio-vsock device, with what the daemon has opened for it. */
#include <errno.h>
#include <unistd.h>

#include "vmm/virtio/virtio_vsock.h"
#include "vmm/vm.h"
#include "vmm/vm_parts.h"

int vm_vsock_plug(struct vm *vm, struct err *e)
{
	const struct vm_config *c = &vm->host->config->vm;
	struct virtio_vsock_spec spec = { .cid = c->vsock_cid,
					  .dir = vm->host->fd[ENGINE_FD_VSOCK] };
	struct virtio_device *d;
	int r;

	if (spec.cid == 0)
		return 0;
	if (spec.cid < VSOCK_CID_MIN || spec.cid > VSOCK_CID_MAX)
		return err_set(e, -EINVAL, "vsock.cid: 1 and 2 are not a machine's");
	if (spec.dir < 0)
		return err_set(e, -ENXIO, "vsock.cid: nothing was opened for it");
	vm->host->fd[ENGINE_FD_VSOCK] = -1;
	r = c->vsock_vhost ? virtio_vsock_vhost_new(&vm->virtio_env, "vsock.cid", spec.cid,
						    spec.dir, &d, e)
			   : virtio_vsock_new(&vm->virtio_env, "vsock.cid", &spec, &d, e);
	if (r < 0)
		return c->vsock_vhost ? err_prefix(e, "vsock.cid: ") : r;
	return vm_plug(vm, PART_KINDS, "vsock", d, e);
}
