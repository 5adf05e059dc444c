/* Kernel settings that a namespace has for itself. */
#ifndef BACKENDS_CONTAINER_SYSCTL_H
#define BACKENDS_CONTAINER_SYSCTL_H

/* The bit of enum namespace_bit whose own it is; 0: the whole host's, or none. */
unsigned sysctl_namespace(const char *name);

#endif
