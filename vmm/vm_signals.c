/*
 * What a guest's threads, and the machine's own, tell the loop thread (vm.h): that the kernel
 * crashed, that the watchdog came to 0, which vCPUs are in use. Bits collect until the loop looks.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/vm.h"

struct vm_signals {
	struct event *event;
	int fd;
	_Atomic unsigned wishes; /* a bit for each enum guest_wish */
	_Atomic bool cpus;
};

static void ring(struct vm *vm)
{
	uint64_t one = 1;

	// Only a counter that is full refuses, which the loop is about to read.
	(void)!write(vm->signals->fd, &one, sizeof(one));
}

void vm_signal_wish(struct vm *vm, enum guest_wish wish)
{
	atomic_fetch_or(&vm->signals->wishes, 1u << wish);
	ring(vm);
}

void vm_signal_online(struct vm *vm, unsigned vcpu, bool online)
{
	_Atomic uint64_t *word = &vm->host->counters[COUNTER_CPUS_ONLINE + vcpu / 64];
	uint64_t bit = 1ull << vcpu % 64;
	uint64_t before = online ? atomic_fetch_or(word, bit) : atomic_fetch_and(word, ~bit);

	if (!!(before & bit) == online)
		return;
	vm->signals->cpus = true;
	ring(vm);
}

static const char *const action_words[] = {
	[ACTION_NONE] = "nothing", [ACTION_RESET] = "reset", [ACTION_POWEROFF] = "poweroff",
	[ACTION_PAUSE] = "pause",  [ACTION_FAIL] = "fail",
};

static void act(struct vm *vm, enum engine_notice notice, enum guest_action action, const char *why)
{
	struct err e = { 0 };

	vm->host->notice(vm->host, notice, action_words[action]);
	switch (action) {
	case ACTION_RESET:
		(void)vm_restart(vm, &e); // the failure is the machine's end already
		break;
	case ACTION_POWEROFF:
		vm_end(vm, ENDING_POWEROFF, 0, "");
		break;
	case ACTION_PAUSE:
		if (vm_pause(vm, &e) == 0 && vm_paused(vm))
			vm->host->notice(vm->host, NOTICE_PAUSED, why);
		break;
	case ACTION_FAIL:
		vm_end(vm, ENDING_FAILED, 0, why);
		break;
	case ACTION_NONE:
		break;
	}
}

static void on_signal(int fd, short what, void *arg)
{
	struct vm *vm = arg;
	const struct vm_config *c = &vm->host->config->vm;
	unsigned wishes;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	if (atomic_exchange(&vm->signals->cpus, false))
		vm->host->notice(vm->host, NOTICE_CPUS, "");
	wishes = atomic_exchange(&vm->signals->wishes, 0);
	if (wishes & 1u << GUEST_PANICKED)
		act(vm, NOTICE_PANIC, c->panic, "the guest's kernel has crashed");
	if (wishes & 1u << GUEST_WATCHDOG)
		act(vm, NOTICE_WATCHDOG, c->watchdog, "the guest's watchdog has run out");
}

int vm_signals_new(struct vm *vm, struct err *e)
{
	struct vm_signals *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, ENOMEM, "VM");
	vm->signals = s;
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd >= 0)
		s->event = event_new(vm->host->loop, s->fd, EV_READ | EV_PERSIST, on_signal, vm);
	if (!s->event || event_add(s->event, NULL) < 0)
		return err_sys(e, ENOMEM, "VM: no eventfd");
	return 0;
}

void vm_signals_free(struct vm *vm)
{
	struct vm_signals *s = vm->signals;

	if (!s)
		return;
	if (s->event)
		event_free(s->event);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	vm->signals = NULL;
}
