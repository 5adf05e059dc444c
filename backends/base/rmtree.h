/*
 * rmtree(): removes a name with all that is below it.
 *
 * However deep the tree is, it takes two descriptors and no stack; no link is followed and no
 * other file system entered. Nobody else may move directories about in it meanwhile.
 */
#ifndef BACKENDS_BASE_RMTREE_H
#define BACKENDS_BASE_RMTREE_H

/* 0, also where there is no such name; else the first -errno, and what could go is gone. */
int rmtree(int dirfd, const char *name);
/* Likewise what is in the directory, which itself stays. */
int rmtree_below(int dirfd);

#endif
