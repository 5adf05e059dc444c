/*
 * What this host can do: see hostcheck.h. One table row a requirement, one function a kind of
 * question. This only looks; it never decides: whoever starts a machine finds out for itself.
 */
#include "backends/host/hostcheck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/container/landlock.h"
#include "backends/container/lxcfs.h"
#include "backends/vhost/virtiofsd.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum verdict { PASS, WARN, FAIL };

struct check {
	const char *name;
	/* Appends the sentence after "NAME: " and returns the verdict. */
	enum verdict (*look)(const struct check *c, struct text *out);
	const char *arg; /* what the function looks at */
	const char *why; /* what it is for, and what to do where it is missing */
};

/* --- reading small files ----------------------------------------------------------------- */

/* Replaces t by the file's content; false if it cannot be read. */
static bool file_text(const char *path, struct text *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err;

	text_clear(t);
	if (fd < 0)
		return false;
	err = text_read_fd(t, fd);
	close(fd);
	return err == 0;
}

static bool file_number(const char *path, unsigned long long *ret)
{
	struct text t = TEXT_INIT;
	char *end;
	bool good = file_text(path, &t);

	if (good) {
		errno = 0;
		*ret = strtoull(text_str(&t), &end, 10);
		good = end != text_str(&t) && errno == 0;
	}
	text_free(&t);
	return good;
}

/* The next word of *p, ended by white space; *p moves behind it. NULL at the end. */
static const char *next_word(const char **p, size_t *len)
{
	const char *word = *p + strspn(*p, " \t\n");

	*len = strcspn(word, " \t\n");
	*p = word + *len;
	return *len ? word : NULL;
}

static bool has_word(const char *list, const char *want)
{
	const char *word;
	size_t len;

	while ((word = next_word(&list, &len)))
		if (len == strlen(want) && !memcmp(word, want, len))
			return true;
	return false;
}

/* Calls back for each line "key : rest" or "key rest"; lines are cut in place. */
static void each_line(struct text *t, void (*line)(char *text, void *arg), void *arg)
{
	char *save = NULL;

	if (t->data)
		for (char *p = strtok_r(t->data, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
			line(p, arg);
}

/* --- the questions ----------------------------------------------------------------------- */

/* arg is a device node that must be there and open for reading and writing. */
static enum verdict check_device(const struct check *c, struct text *out)
{
	struct stat st;
	int fd;

	if (stat(c->arg, &st)) {
		text_addf(out, "there is no %s; %s", c->arg, c->why);
		return FAIL;
	}
	fd = S_ISCHR(st.st_mode) ? open(c->arg, O_RDWR | O_CLOEXEC | O_NONBLOCK) : -1;
	if (fd < 0) {
		text_addf(out, "%s cannot be opened (%s); %s", c->arg,
			  S_ISCHR(st.st_mode) ? strerror(errno) : "not a device", c->why);
		return FAIL;
	}
	close(fd);
	text_addf(out, "%s can be opened", c->arg);
	return PASS;
}

/* Likewise of one that something can be done without. */
static enum verdict check_spare_device(const struct check *c, struct text *out)
{
	return check_device(c, out) == PASS ? PASS : WARN;
}

struct cpu_scan {
	bool svm, vmx;
};

static void scan_flags(char *line, void *arg)
{
	struct cpu_scan *scan = arg;

	if (strncmp(line, "flags", 5))
		return;
	scan->svm |= has_word(line, "svm");
	scan->vmx |= has_word(line, "vmx");
}

static enum verdict check_virtualization(const struct check *c, struct text *out)
{
	struct cpu_scan scan = { 0 };
	struct text t = TEXT_INIT;

	if (file_text("/proc/cpuinfo", &t))
		each_line(&t, scan_flags, &scan);
	text_free(&t);
	if (scan.svm || scan.vmx) {
		text_addf(out, "the CPU has %s", scan.svm ? "AMD-V (svm)" : "VT-x (vmx)");
		return PASS;
	}
	text_addf(out, "the CPU shows neither svm nor vmx; %s", c->why);
	return WARN;
}

static enum verdict check_nested_paging(const struct check *c, struct text *out)
{
	static const char *const files[] = { "/sys/module/kvm_amd/parameters/npt",
					     "/sys/module/kvm_intel/parameters/ept" };
	struct text t = TEXT_INIT;
	enum verdict verdict = WARN;

	for (size_t i = 0; i < ARRAY_SIZE(files) && verdict == WARN; i++) {
		if (!file_text(files[i], &t) || !t.len)
			continue;
		if (t.data[0] == 'Y' || t.data[0] == '1') {
			text_addf(out, "on (%s)", files[i]);
			verdict = PASS;
		} else {
			text_addf(out, "off (%s); load the module with it on: %s", files[i],
				  c->why);
			verdict = FAIL;
		}
	}
	text_free(&t);
	if (verdict == WARN)
		text_addf(out, "neither kvm_amd nor kvm_intel is loaded; %s", c->why);
	return verdict;
}

/* What /proc/self/mountinfo says about control groups. */
struct cgroup_scan {
	bool v2;
	struct text v1;		 /* controllers of v1 hierarchies, as words */
	struct text controllers; /* cgroup.controllers of the v2 hierarchy */
};

/* "36 25 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw", see proc(5) */
static void scan_mount(char *line, void *arg)
{
	struct cgroup_scan *scan = arg;
	char *tail = strstr(line, " - "), *point = line, *options;
	struct text path = TEXT_INIT;

	if (!tail)
		return;
	for (int field = 0; field < 4 && point; field++)
		point = strchr(point, ' ') ? strchr(point, ' ') + 1 : NULL;
	if (!point)
		return;
	if (!strncmp(tail, " - cgroup2 ", 11) && !scan->v2) {
		scan->v2 = true;
		text_add_bytes(&path, point, strcspn(point, " "));
		text_add(&path, "/cgroup.controllers");
		if (!text_failed(&path))
			file_text(text_str(&path), &scan->controllers);
		text_free(&path);
	} else if (!strncmp(tail, " - cgroup ", 10)) {
		options = strrchr(tail, ' ');
		for (char *p = options; *p; p++)
			if (*p == ',')
				*p = ' ';
		text_add(&scan->v1, options);
		text_add(&scan->v1, " ");
	}
}

static void scan_cgroups(struct cgroup_scan *scan)
{
	struct text t = TEXT_INIT;

	*scan = (struct cgroup_scan){ 0 };
	if (file_text("/proc/self/mountinfo", &t))
		each_line(&t, scan_mount, scan);
	text_free(&t);
}

static void free_cgroups(struct cgroup_scan *scan)
{
	text_free(&scan->v1);
	text_free(&scan->controllers);
}

static enum verdict check_cgroup_version(const struct check *c, struct text *out)
{
	struct cgroup_scan scan;
	enum verdict verdict = FAIL;

	scan_cgroups(&scan);
	if (scan.v2 && !scan.v1.len) {
		text_add(out, "v2");
		verdict = PASS;
	} else if (scan.v2) {
		text_addf(out, "hybrid: v1 with a v2 hierarchy beside it; %s", c->why);
		verdict = WARN;
	} else if (scan.v1.len) {
		text_addf(out, "v1 only; %s", c->why);
		verdict = WARN;
	} else {
		text_addf(out, "no control groups are mounted; %s", c->why);
	}
	free_cgroups(&scan);
	return verdict;
}

/* arg is "V2NAME V1NAME": the controller that does the work in each version. */
static enum verdict check_controller(const struct check *c, struct text *out)
{
	const char *p = c->arg;
	size_t v2_len, v1_len;
	const char *v2 = next_word(&p, &v2_len), *v1 = next_word(&p, &v1_len);
	char name[32] = "";
	struct cgroup_scan scan;
	enum verdict verdict = PASS;

	scan_cgroups(&scan);
	memcpy(name, v2, v2_len);
	if (has_word(text_str(&scan.controllers), name) ||
	    (scan.v2 && !strcmp(name, "freezer"))) /* v2: part of every group */
		text_add(out, "there, by cgroup v2");
	else if (has_word(text_str(&scan.v1), v1))
		text_add(out, "there, by cgroup v1");
	else {
		text_addf(out, "missing: %s", c->why);
		verdict = WARN;
	}
	free_cgroups(&scan);
	return verdict;
}

/* arg is a file of /proc/self/ns */
static enum verdict check_namespace(const struct check *c, struct text *out)
{
	if (access(c->arg, F_OK) == 0) {
		text_add(out, "the kernel has it");
		return PASS;
	}
	text_addf(out, "the kernel lacks it: %s", c->why);
	return WARN;
}

static enum verdict check_user_namespaces(const struct check *c, struct text *out)
{
	unsigned long long max, allowed;

	if (file_number("/proc/sys/user/max_user_namespaces", &max) && max == 0) {
		text_addf(out, "forbidden; raise sysctl user.max_user_namespaces above 0: %s",
			  c->why);
		return WARN;
	}
	if (file_number("/proc/sys/kernel/unprivileged_userns_clone", &allowed) && allowed == 0) {
		text_addf(out, "root only; set sysctl kernel.unprivileged_userns_clone=1: %s",
			  c->why);
		return WARN;
	}
	if (access("/proc/self/ns/user", F_OK)) {
		text_addf(out, "the kernel lacks user namespaces: %s", c->why);
		return WARN;
	}
	text_add(out, "ordinary users may make them");
	return PASS;
}

/* Sums nr_hugepages of all sizes; *ret_free likewise. False where there are none. */
static bool sum_hugepages(unsigned long long *ret_total, unsigned long long *ret_free)
{
	static const char dir_name[] = "/sys/kernel/mm/hugepages";
	DIR *dir = opendir(dir_name);
	struct dirent *entry;
	char path[400];

	*ret_total = *ret_free = 0;
	if (!dir)
		return false;
	while ((entry = readdir(dir))) {
		unsigned long long n;

		if (strncmp(entry->d_name, "hugepages-", 10))
			continue;
		snprintf(path, sizeof(path), "%s/%s/nr_hugepages", dir_name, entry->d_name);
		if (file_number(path, &n))
			*ret_total += n;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", dir_name, entry->d_name);
		if (file_number(path, &n))
			*ret_free += n;
	}
	closedir(dir);
	return true;
}

static enum verdict check_hugepages(const struct check *c, struct text *out)
{
	unsigned long long total, left;

	if (!sum_hugepages(&total, &left)) {
		text_addf(out, "the kernel has none: %s", c->why);
		return WARN;
	}
	if (!total) {
		text_addf(out, "none reserved; write a count to /proc/sys/vm/nr_hugepages: %s",
			  c->why);
		return WARN;
	}
	text_addf(out, "%llu reserved, %llu free", total, left);
	return PASS;
}

static enum verdict check_thp(const struct check *c, struct text *out)
{
	struct text t = TEXT_INIT;
	enum verdict verdict = WARN;

	if (!file_text(c->arg, &t))
		text_addf(out, "the kernel lacks them: %s", c->why);
	else if (strstr(text_str(&t), "[never]"))
		text_addf(out, "off; write madvise to %s: %s", c->arg, c->why);
	else {
		text_add(out, strstr(text_str(&t), "[always]") ? "always" : "where asked for");
		verdict = PASS;
	}
	text_free(&t);
	return verdict;
}

static enum verdict check_program(const struct check *c, struct text *out)
{
	if (access(c->arg, X_OK) == 0) {
		text_addf(out, "%s can be executed", c->arg);
		return PASS;
	}
	text_addf(out, "%s is missing; %s", c->arg, c->why);
	return WARN;
}

static enum verdict check_lxcfs(const struct check *c, struct text *out)
{
	if (access(c->arg, F_OK) == 0) {
		text_addf(out, "containers see what is theirs in /proc");
		return PASS;
	}
	text_addf(out, "not there; %s", c->why);
	return WARN;
}

static enum verdict check_landlock(const struct check *c, struct text *out)
{
	int abi = landlock_abi();

	if (abi) {
		text_addf(out, "version %d", abi);
		return PASS;
	}
	text_addf(out, "not there; %s", c->why);
	return WARN;
}

static enum verdict check_iommu(const struct check *c, struct text *out)
{
	DIR *dir = opendir(c->arg);
	struct dirent *entry;
	int n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	if (n) {
		text_addf(out, "%d in use", n);
		return PASS;
	}
	text_addf(out, "none: %s", c->why);
	return WARN;
}

#define NAMESPACE(word, why)                                                   \
	{                                                                      \
		"namespace-" word, check_namespace, "/proc/self/ns/" word, why \
	}

static const struct check checks[] = {
	{ "kvm", check_device, "/dev/kvm",
	  "virtual machines need it: load kvm_amd or kvm_intel, switch virtualization on in the "
	  "firmware, give the user the group kvm" },
	{ "cpu-virtualization", check_virtualization, NULL,
	  "a stock kernel needs one in /dev/kvm's guests: switch it on in the firmware, or enable "
	  "nested virtualization where this host is itself a guest" },
	{ "nested-paging", check_nested_paging, NULL,
	  "without npt or ept guests run several times slower" },
	{ "fuse", check_device, "/dev/fuse",
	  "the filesystem itself needs it: load the module fuse" },
	{ "tun", check_device, "/dev/net/tun",
	  "network interfaces of virtual machines need it: load the module tun" },
	{ "vhost-net", check_spare_device, "/dev/vhost-net",
	  "without it network interfaces of virtual machines are slower: load the module "
	  "vhost_net" },
	{ "vhost-vsock", check_spare_device, "/dev/vhost-vsock",
	  "vsock.vhost needs it: load the module vhost_vsock" },
	{ "cgroup-version", check_cgroup_version, NULL,
	  "boot with systemd.unified_cgroup_hierarchy=1 for v2; on v1 there is no pressure, and "
	  "limits are translated" },
	{ "cgroup-cpu", check_controller, "cpu cpu", "cpu.weight and cpu.max cannot be set" },
	{ "cgroup-cpuset", check_controller, "cpuset cpuset",
	  "cpu.affinity and memory.numa of containers cannot be set" },
	{ "cgroup-memory", check_controller, "memory memory",
	  "memory.size does not limit containers; boot with cgroup_enable=memory" },
	{ "cgroup-pids", check_controller, "pids pids", "pids.max cannot be set" },
	{ "cgroup-io", check_controller, "io blkio", "io.weight and io.max cannot be set" },
	{ "cgroup-freezer", check_controller, "freezer freezer", "containers cannot pause" },
	{ "cgroup-hugetlb", check_controller, "hugetlb hugetlb",
	  "hugetlb limits of containers cannot be set" },
	NAMESPACE("pid", "containers need it"),
	NAMESPACE("mnt", "containers need it"),
	NAMESPACE("net", "containers need it"),
	NAMESPACE("uts", "containers need it"),
	NAMESPACE("ipc", "containers need it"),
	NAMESPACE("cgroup", "containers see the host's control groups"),
	NAMESPACE("user", "containers of ordinary users need it"),
	NAMESPACE("time", "containers see the host's uptime; it came with Linux 5.6"),
	{ "user-namespaces", check_user_namespaces, NULL,
	  "containers of ordinary users need them" },
	{ "newuidmap", check_program, "/usr/bin/newuidmap",
	  "an ordinary user's own daemon can map nobody but the user in its containers; install "
	  "it (Debian: uidmap)" },
	{ "virtiofsd", check_program, VIRTIOFSD_PATH,
	  "virtual machines can have no share/; install it (Debian: qemu-system-common)" },
	{ "lxcfs", check_lxcfs, LXCFS_PATH "/proc/meminfo",
	  "/proc in containers tells of the host's memory and CPUs; install and start it "
	  "(Debian: lxcfs)" },
	{ "landlock", check_landlock, NULL,
	  "containers cannot have the setting landlock; boot with lsm=landlock,..., it came with "
	  "Linux 5.13" },
	{ "hugepages", check_hugepages, NULL, "memory.backing=hugetlb needs reserved huge pages" },
	{ "transparent-hugepages", check_thp, "/sys/kernel/mm/transparent_hugepage/enabled",
	  "guests boot and run slower on small pages" },
	{ "iommu", check_iommu, "/sys/class/iommu",
	  "PCI devices cannot be passed through; switch it on in the firmware, and boot with "
	  "intel_iommu=on on Intel" },
};

int hostcheck_print(struct text *out, struct err *e)
{
	static const char *const words[] = { "PASS", "WARN", "FAIL" };
	struct text sentence = TEXT_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		enum verdict verdict;

		text_clear(&sentence);
		verdict = checks[i].look(&checks[i], &sentence);
		text_addf(out, "%s %s: %s\n", words[verdict], checks[i].name, text_str(&sentence));
	}
	text_free(&sentence);
	return text_failed(out) ? err_set(e, -ENOSPC, "out of memory") : 0;
}

/* --- facts ------------------------------------------------------------------------------- */

/* How many numbers the kernel's list format ("0-3,8") names. */
static unsigned long list_count(const char *list)
{
	unsigned long count = 0;

	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		count += last >= first ? last - first + 1 : 0;
		list = *end == ',' ? end + 1 : end;
	}
	return count;
}

static void fact_list(struct text *out, const char *key, const char *path)
{
	struct text t = TEXT_INIT;

	if (file_text(path, &t) && t.len)
		text_addf(out, "%s %lu\n", key, list_count(text_str(&t)));
	text_free(&t);
}

struct topology {
	unsigned long sockets, cores, threads;
	unsigned long siblings;
	double mhz;
};

static void scan_topology(char *line, void *arg)
{
	struct topology *top = arg;
	const char *colon = strchr(line, ':');
	unsigned long n = colon ? strtoul(colon + 1, NULL, 10) : 0;

	if (!strncmp(line, "physical id", 11) && n + 1 > top->sockets)
		top->sockets = n + 1;
	else if (!strncmp(line, "cpu cores", 9))
		top->cores = n;
	else if (!strncmp(line, "siblings", 8))
		top->siblings = n;
	else if (!strncmp(line, "cpu MHz", 7) && colon)
		top->mhz = strtod(colon + 1, NULL);
}

int hostfacts_cpu(struct text *out, struct err *e)
{
	struct topology top = { 0 };
	struct text t = TEXT_INIT;

	fact_list(out, "online", "/sys/devices/system/cpu/online");
	fact_list(out, "present", "/sys/devices/system/cpu/present");
	fact_list(out, "possible", "/sys/devices/system/cpu/possible");
	if (file_text("/proc/cpuinfo", &t))
		each_line(&t, scan_topology, &top);
	text_free(&t);
	if (top.sockets)
		text_addf(out, "sockets %lu\n", top.sockets);
	if (top.cores)
		text_addf(out, "cores_per_socket %lu\nthreads_per_core %lu\n", top.cores,
			  top.siblings > top.cores ? top.siblings / top.cores : 1);
	if (top.mhz > 0)
		text_addf(out, "mhz %.0f\n", top.mhz);
	fact_list(out, "numa_nodes", "/sys/devices/system/node/online");
	return text_failed(out) ? err_set(e, -ENOSPC, "out of memory") : 0;
}

/* "MemTotal:       24689432 kB" as "total 25281978368" */
static void scan_meminfo(char *line, void *arg)
{
	static const struct {
		const char *theirs, *ours;
		unsigned unit;
	} keys[] = {
		{ "MemTotal:", "total", 1024 },
		{ "MemFree:", "free", 1024 },
		{ "MemAvailable:", "available", 1024 },
		{ "Cached:", "cached", 1024 },
		{ "SwapTotal:", "swap_total", 1024 },
		{ "SwapFree:", "swap_free", 1024 },
		{ "AnonHugePages:", "transparent_hugepages", 1024 },
		{ "Hugepagesize:", "hugepage_size", 1024 },
		{ "HugePages_Total:", "hugepages_total", 1 },
		{ "HugePages_Free:", "hugepages_free", 1 },
		{ "HugePages_Rsvd:", "hugepages_reserved", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t len = strlen(keys[i].theirs);

		if (!strncmp(line, keys[i].theirs, len))
			text_addf(arg, "%s %llu\n", keys[i].ours,
				  strtoull(line + len, NULL, 10) * keys[i].unit);
	}
}

int hostfacts_memory(struct text *out, struct err *e)
{
	struct text t = TEXT_INIT;

	if (file_text("/proc/meminfo", &t))
		each_line(&t, scan_meminfo, out);
	text_free(&t);
	return text_failed(out) ? err_set(e, -ENOSPC, "out of memory") : 0;
}
