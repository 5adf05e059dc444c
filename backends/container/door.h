/*
 * A way into another's namespaces for a child of ours, where we cannot or must not go ourselves:
 * nobody enters a user namespace who has threads, nor comes back, and a pid namespace is for
 * children only. So a process goes that shares our memory and descriptors, and has the child
 * (CLONE_PARENT).
 */
#ifndef BACKENDS_CONTAINER_DOOR_H
#define BACKENDS_CONTAINER_DOOR_H

#define DOOR_STACK 65536 /* the child begins on a copy of it */

/*
 * Runs through(arg) in such a process and returns when that has ended: 0, or -errno when there was
 * none. All signals wait meanwhile, since no handler of ours may run in it.
 */
int door_open(int (*through)(void *arg), void *arg);

#endif
