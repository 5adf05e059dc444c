/* Users of an image, by its own /etc/passwd and /etc/group, which are hostile. */
#ifndef BACKENDS_IMAGE_USERS_H
#define BACKENDS_IMAGE_USERS_H

#include <stdbool.h>

/*
 * "UID:GID" of "USER[:GROUP]", each a name or a number; without a group it is the user's main one,
 * or 0. False: there is no such user or group.
 */
bool users_resolve(int root, const char *user, char ret[32]);

#endif
