/*
 * struct kvm_creation: KVM_CREATE_VM beside other work. The kernel may wait in it, Linux 6.1 for up
 * to 10 ms: its worker for huge pages joins the caller's control group, which takes a grace period
 * of RCU. So a thread asks for it while the loop thread makes memory and devices.
 *
 * Loop thread. Source: Documentation/virt/kvm/api.rst, KVM_CREATE_VM.
 */
#ifndef VMM_KVM_CREATION_H
#define VMM_KVM_CREATION_H

#include <pthread.h>
#include <stdbool.h>

struct kvm_creation {
	bool under_way;
	pthread_t thread;
	int kvm;
	int fd; /* what came of it, or -errno */
};

/* kvm: /dev/kvm. Without a thread, end() asks itself. */
void kvm_creation_begin(struct kvm_creation *c, int kvm);
/* The machine's descriptor, the caller's; or -errno. Also where nothing was begun. */
int kvm_creation_end(struct kvm_creation *c, int kvm);
/* Nobody wants it any more. */
void kvm_creation_cancel(struct kvm_creation *c);

#endif
