/* The importer's system call filter: see importer_filter.h. */
#include "backends/image/importer_filter.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

/* A sanitizer looks for leaks by tracing its own process. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

static const struct call {
	const char *name, *why;
} calls[] = {
	{ "newfstatat", "what a file is" },
	{ "fstat", "likewise" },
	{ "statx", "likewise, as later libcs have it" },
	{ "fstatfs", "what a file system can do" },
	{ "openat", "below descriptors; a decoder that opens sees the image's directory" },
	{ "openat2", "likewise, without symlinks" },
	{ "close", "" },
	{ "fcntl", "descriptors" },
	{ "dup", "likewise" },
	{ "lseek", "holes" },
	{ "read", "the source" },
	{ "pread64", "likewise" },
	{ "readv", "likewise" },
	{ "write", "what is unpacked; standard error" },
	{ "writev", "likewise" },
	{ "pwrite64", "likewise" },
	{ "ftruncate", "holes at the end" },
	{ "fallocate", "likewise" },
	{ "copy_file_range", "what both file systems can share" },
	{ "getdents64", "trees" },
	{ "readlinkat", "links in a source" },
	{ "symlinkat", "the image's files" },
	{ "linkat", "likewise" },
	{ "mkdirat", "likewise" },
	{ "mknodat", "likewise: pipes and sockets" },
	{ "unlinkat", "whiteouts; an import undone" },
	{ "renameat", "what is done is named last" },
	{ "renameat2", "likewise" },
	{ "fchmod", "modes" },
	{ "fchmodat", "likewise" },
	{ "fchown", "owners" },
	{ "fchownat", "likewise" },
	{ "utimensat", "times" },
	{ "flistxattr", "attributes" },
	{ "llistxattr", "likewise" },
	{ "fgetxattr", "likewise" },
	{ "lgetxattr", "likewise" },
	{ "fsetxattr", "likewise" },
	{ "lsetxattr", "likewise" },
	{ "fremovexattr", "likewise" },
	{ "fsync", "what is told as done is on disk" },
	{ "fdatasync", "likewise" },
	{ "syncfs", "likewise" },
	{ "flock", "one importer a directory" },
	{ "sendmsg", "the answer" },
	{ "recvmsg", "the task" },
	{ "poll", "likewise" },
	{ "geteuid", "whose files they are" },
	{ "getuid", "likewise" },
	{ "getegid", "likewise" },
	{ "getgid", "likewise" },
	{ "setfsuid", "a source's files as their owner" },
	{ "setfsgid", "likewise" },
	{ "setgroups", "likewise" },
	{ "getgroups", "likewise" },
	{ "capget", "likewise" },
	{ "capset", "likewise" },
	{ "prctl", "likewise" },
	{ "brk", "memory" },
	{ "munmap", "likewise" },
	{ "mremap", "likewise" },
	{ "madvise", "likewise" },
	{ "futex", "libc's locks" },
	{ "sysinfo", "how much memory a decoder may take" },
	{ "getrandom", "libc's hashes" },
	{ "clock_gettime", "libarchive's times" },
	{ "getpid", "names of what is not done yet" },
	{ "gettid", "an assertion that fails" },
	{ "tgkill", "likewise" },
	{ "rt_sigaction", "likewise" },
	{ "rt_sigprocmask", "likewise" },
	{ "rt_sigreturn", "" },
	{ "restart_syscall", "" },
	{ "exit", "" },
	{ "exit_group", "" },
};

static int filter_fill(scmp_filter_ctx filter)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW,
				      seccomp_syscall_resolve_name(calls[i].name), 0);
	/* Memory that can be executed is no importer's. */
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return rc;
}

int importer_filter_install(struct err *e)
{
	scmp_filter_ctx filter;
	int rc;

	if (SANITIZED)
		return 0;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return err_sys(e, ENOMEM, "import: the system call filter");
	rc = filter_fill(filter);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* as a tree */
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc < 0 ? err_sys(e, -rc, "import: the system call filter") : 0;
}
