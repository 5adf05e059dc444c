/*
 * A profile of system calls in OCI's form. What is accepted is a program that can be loaded,
 * whatever the container's capabilities.
 */
#include <linux/filter.h>

#include "backends/container/seccomp.h"
#include "backends/container/seccomp_file.h"
#include "tests/fuzz/fuzz.h"

static void one(const char *data, size_t len)
{
	struct sock_filter *program = NULL;
	struct err e = { 0 };
	unsigned short count;
	int fd = -1, rc;

	rc = seccomp_file_parse(data, len, len & 1 ? UINT64_MAX : 0, &fd, &e);
	fuzz_check(rc == 0 || (e.code == rc && *e.text));
	if (rc < 0)
		return;
	rc = seccomp_profile_load(fd, &program, &count, &e);
	fuzz_check(rc == 0 || e.code == rc);
	free(program);
	close(fd);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
