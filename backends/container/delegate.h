/*
 * cgroup.delegate: the machine's control group as the container's own to divide, as systemd does.
 *
 * It is version 2's: the group's directory and the files by which groups are made and processes
 * moved become those of the container's root (kernel document cgroup-v2, "Delegation"); its limits
 * stay root's. So the container's root has to be another user: a user namespace is needed, with a
 * map.
 */
#ifndef BACKENDS_CONTAINER_DELEGATE_H
#define BACKENDS_CONTAINER_DELEGATE_H

#include "backends/base/err.h"
#include "backends/container/plan.h"

/* Gives the group to the root of the container; ENXIO, EINVAL where that is not to be. */
int delegate_give(const struct plan *p, struct err *e);
/*
 * A group below it for a session's process: what is divided can have none itself. Returns its
 * directory, for CLONE_INTO_CGROUP.
 */
int delegate_leaf(int group, struct err *e);

#endif
