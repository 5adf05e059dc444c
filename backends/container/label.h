/*
 * The label of AppArmor or SELinux under which a container's programs run, in the settings
 * `apparmor` and `selinux`.
 */
#ifndef BACKENDS_CONTAINER_LABEL_H
#define BACKENDS_CONTAINER_LABEL_H

#include "backends/config.h"

/*
 * From the next execve() of this process, or of one that it clones, on. To be called where /proc is
 * the host's: a container's may be anything. 0, or a negative errno and the setting's name.
 */
int label_set(const struct container_config *c, const char **ret_what);

#endif
