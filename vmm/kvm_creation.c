/* KVM_CREATE_VM beside other work: see kvm_creation.h. */
#include "vmm/kvm_creation.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backends/base/thread.h"

static int create(int kvm)
{
	int fd;

	do
		fd = ioctl(kvm, KVM_CREATE_VM, 0);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static void *creation_main(void *arg)
{
	struct kvm_creation *c = arg;

	c->fd = create(c->kvm);
	return NULL;
}

void kvm_creation_begin(struct kvm_creation *c, int kvm)
{
	c->kvm = kvm;
	c->under_way = thread_start(&c->thread, THREAD_STACK_SMALL, 0, creation_main, c) == 0;
	/* Where there is but one processor it is to be asked for now, not when this thread sleeps.
	 */
	if (c->under_way)
		sched_yield();
}

int kvm_creation_end(struct kvm_creation *c, int kvm)
{
	if (!c->under_way)
		return create(kvm);
	pthread_join(c->thread, NULL);
	c->under_way = false;
	return c->fd;
}

void kvm_creation_cancel(struct kvm_creation *c)
{
	int fd = c->under_way ? kvm_creation_end(c, c->kvm) : -1;

	if (fd >= 0)
		close(fd);
}
