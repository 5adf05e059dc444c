/*
 * vcpu/N: the vCPUs of a VM that runs, as objects of the tree. They can only be looked at, are
 * known from what the monitor counts and the kernel says of its threads, and nothing of them is
 * kept: a later daemon makes them anew.
 */
#ifndef FS_MACHINE_VCPU_H
#define FS_MACHINE_VCPU_H

#include "backends/engine.h"
#include "fs/machine/machine.h"
#include "fs/node.h"

int vcpu_class(struct class *ret, struct err *e);

/*
 * Those that the machine has now: of cpu.count, and such as the guest has not let go of yet. To be
 * called when its state, cpu.count or cpu.online is another.
 */
void vcpus_settle(struct machine *m);

uint64_t vcpu_figure(const struct machine *m, unsigned vcpu, enum vcpu_figure figure);
/* "io", "mmio" ...: of those from VCPU_EXITS_IO on. */
extern const char *const vcpu_exit_words[VCPU_FIGURES];

/*
 * NAME and value of each register as it was when the machine was paused last, with what is between
 * them and what comes before each; nothing of a vCPU that is not there.
 */
void vcpu_print_registers(const struct machine *m, unsigned vcpu, const char *before,
			  const char *between, struct text *out);

#endif
