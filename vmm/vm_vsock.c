/* vsock.cid: the machine's virtio-vsock device, in the directory that the daemon has opened. */
#include <errno.h>
#include <unistd.h>

#include "vmm/virtio/virtio_vsock.h"
#include "vmm/vm.h"
#include "vmm/vm_parts.h"

int vm_vsock_plug(struct vm *vm, struct err *e)
{
	struct virtio_vsock_spec spec = { .cid = vm->host->config->vm.vsock_cid,
					  .dir = vm->host->fd[ENGINE_FD_VSOCK] };
	struct virtio_device *d;
	int r;

	if (spec.cid == 0)
		return 0;
	if (spec.cid < VSOCK_CID_MIN || spec.cid > VSOCK_CID_MAX)
		return err_set(e, -EINVAL, "vsock.cid: 1 and 2 are not a machine's");
	if (spec.dir < 0)
		return err_set(e, -ENXIO, "vsock.cid: no directory was opened");
	vm->host->fd[ENGINE_FD_VSOCK] = -1;
	r = virtio_vsock_new(&vm->virtio_env, "vsock.cid", &spec, &d, e);
	return r < 0 ? r : vm_plug(vm, PART_KINDS, "vsock", d, e);
}
