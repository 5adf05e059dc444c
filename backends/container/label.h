/*
 * The label of AppArmor or SELinux under which a container's programs run, in the settings
 * `apparmor` and `selinux`, and that of its own files, `selinux.files`.
 *
 * Source: apparmor(7), selinux(8); the kernel's security/selinux/selinuxfs.c.
 */
#ifndef BACKENDS_CONTAINER_LABEL_H
#define BACKENDS_CONTAINER_LABEL_H

#include <stdbool.h>

#include "backends/base/err.h"
#include "backends/config.h"

/* ENXIO: the host has no such thing. EINVAL: SELinux's policy knows no such context. */
int label_check(const struct container_config *c, struct err *e);
/* Whether its files are to have one. */
bool label_of_files(const struct container_config *c);
/* The setting that names one for its programs; NULL: none does. */
const char *label_of_programs(const struct container_config *c);

/*
 * From the next execve() of this process, or of one that it clones, on. To be called where /proc is
 * the host's: a container's may be anything. 0, or a negative errno and the setting's name.
 */
int label_set(const struct container_config *c, const char **ret_what);

#endif
