/*
 * Unit test of hostcheck: every verdict is held against the same fact obtained another way:
 * a shell with grep and test, statfs, sysconf, sysinfo.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "backends/host/hostcheck.h"
#include "tests/unit/tap.h"

static const char *const names[] = {
	"kvm",
	"cpu-virtualization",
	"nested-paging",
	"fuse",
	"tun",
	"vhost-net",
	"vhost-vsock",
	"cgroup-version",
	"cgroup-cpu",
	"cgroup-cpuset",
	"cgroup-memory",
	"cgroup-pids",
	"cgroup-io",
	"cgroup-freezer",
	"cgroup-hugetlb",
	"namespace-pid",
	"namespace-mnt",
	"namespace-net",
	"namespace-uts",
	"namespace-ipc",
	"namespace-cgroup",
	"namespace-user",
	"namespace-time",
	"user-namespaces",
	"newuidmap",
	"virtiofsd",
	"lxcfs",
	"landlock",
	"hugepages",
	"transparent-hugepages",
	"iommu",
};

/* The four letters before NAME's line, "" if it has none. */
static const char *verdict(const char *report, const char *name)
{
	static char word[5];
	char want[64];
	const char *p;

	snprintf(want, sizeof(want), " %s: ", name);
	p = strstr(report, want);
	snprintf(word, sizeof(word), "%.4s", p && p - report >= 4 ? p - 4 : "");
	return word;
}

static bool shell(const char *command)
{
	return system(command) == 0; // NOLINT: the judge is a shell on purpose
}

static void same(const char *report, const char *name, bool fact, const char *otherwise)
{
	const char *want = fact ? "PASS" : otherwise, *got = verdict(report, name);

	ok(!strcmp(got, want), "%s is %s (got %s)", name, want, got);
}

static void test_form(const char *report)
{
	char *copy = strdup(report), *save = NULL;
	size_t n = 0;
	bool good = true;

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *name = n < sizeof(names) / sizeof(names[0]) ? names[n] : "?";

		good = good && strlen(line) > 7 + strlen(name) &&
		       (!strncmp(line, "PASS ", 5) || !strncmp(line, "WARN ", 5) ||
			!strncmp(line, "FAIL ", 5)) &&
		       !strncmp(line + 5, name, strlen(name)) &&
		       !strncmp(line + 5 + strlen(name), ": ", 2);
		n++;
	}
	ok(good && n == sizeof(names) / sizeof(names[0]),
	   "one line a requirement, in order: VERDICT NAME: sentence");
	ok(report[strlen(report) - 1] == '\n', "the text ends in a newline");
	free(copy);
}

static bool v2_only(void)
{
	struct statfs fs;

	return statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static void test_controllers(const char *report)
{
	static const char *const pairs[][3] = {
		{ "cgroup-cpu", "cpu", "cpu" },		 { "cgroup-cpuset", "cpuset", "cpuset" },
		{ "cgroup-memory", "memory", "memory" }, { "cgroup-pids", "pids", "pids" },
		{ "cgroup-io", "io", "blkio" },		 { "cgroup-hugetlb", "hugetlb", "hugetlb" },
	};
	char command[400];

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		snprintf(command, sizeof(command),
			 "find /sys/fs/cgroup -maxdepth 2 -name cgroup.controllers -exec cat {} + "
			 "| grep -qw %s || grep -q '^cgroup .*cgroup rw.*[, ]%s[, ]' /proc/mounts",
			 pairs[i][1], pairs[i][2]);
		same(report, pairs[i][0], shell(command), "WARN");
	}
}

/* KEY's number in flat keyed text, -1 without. */
static long long fact(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (!strncmp(p, key, len) && p[len] == ' ')
			return strtoll(p + len, NULL, 10);
	return -1;
}

static void test_facts(void)
{
	struct text cpu = TEXT_INIT, memory = TEXT_INIT;
	struct err e = { 0 };
	struct sysinfo info;

	ok(hostfacts_cpu(&cpu, &e) == 0 && hostfacts_memory(&memory, &e) == 0, "facts are told");
	ok(fact(text_str(&cpu), "online") == sysconf(_SC_NPROCESSORS_ONLN), "online CPUs");
	ok(fact(text_str(&cpu), "possible") >= sysconf(_SC_NPROCESSORS_CONF), "possible CPUs");
	sysinfo(&info);
	ok(fact(text_str(&memory), "total") == (long long)(info.totalram * info.mem_unit),
	   "total memory in bytes");
	ok(fact(text_str(&memory), "available") > 0 &&
		   fact(text_str(&memory), "available") <= fact(text_str(&memory), "total"),
	   "available memory is some, and no more than all");
	ok(fact(text_str(&memory), "hugepages_total") >= 0, "huge pages are counted");
	text_free(&cpu);
	text_free(&memory);
}

int main(void)
{
	struct text t = TEXT_INIT;
	struct err e = { 0 };
	const char *report;

	ok(hostcheck_print(&t, &e) == 0, "the check runs");
	report = text_str(&t);
	test_form(report);
	same(report, "kvm", access("/dev/kvm", R_OK | W_OK) == 0, "FAIL");
	same(report, "fuse", access("/dev/fuse", R_OK | W_OK) == 0, "FAIL");
	same(report, "tun", access("/dev/net/tun", R_OK | W_OK) == 0, "FAIL");
	same(report, "vhost-net", access("/dev/vhost-net", R_OK | W_OK) == 0, "WARN");
	same(report, "cpu-virtualization", shell("grep -qwE 'svm|vmx' /proc/cpuinfo"), "WARN");
	same(report, "nested-paging",
	     shell("cat /sys/module/kvm_*/parameters/[ne]pt 2>/dev/null | grep -q '[Y1]'"),
	     shell("cat /sys/module/kvm_*/parameters/[ne]pt 2>/dev/null | grep -q '[N0]'")
		     ? "FAIL"
		     : "WARN");
	same(report, "cgroup-version", v2_only(),
	     shell("grep -q ' cgroup2\\? ' /proc/mounts") ? "WARN" : "FAIL");
	test_controllers(report);
	same(report, "namespace-time", shell("test -e /proc/self/ns/time"), "WARN");
	same(report, "namespace-pid", shell("test -e /proc/self/ns/pid"), "WARN");
	same(report, "user-namespaces",
	     shell("test -e /proc/self/ns/user") &&
		     shell("test \"$(cat /proc/sys/user/max_user_namespaces)\" != 0") &&
		     !shell("grep -qx 0 /proc/sys/kernel/unprivileged_userns_clone 2>/dev/null"),
	     "WARN");
	same(report, "newuidmap", shell("test -x /usr/bin/newuidmap"), "WARN");
	same(report, "virtiofsd", shell("test -x /usr/lib/qemu/virtiofsd"), "WARN");
	same(report, "lxcfs", shell("test -e /var/lib/lxcfs/proc/meminfo"), "WARN");
	same(report, "hugepages",
	     shell("cat /sys/kernel/mm/hugepages/*/nr_hugepages 2>/dev/null | grep -qv '^0$'"),
	     "WARN");
	same(report, "iommu", shell("ls /sys/class/iommu 2>/dev/null | grep -q ."), "WARN");
	text_free(&t);
	test_facts();
	return tap_done();
}
