/*
 * Real containers of busybox on this host: what is in one, what is kept out, how it ends, and
 * that nothing is left behind. Needs root, busybox-static and control groups.
 */
#include "tests/unit/harness_container.h"
#include "tests/unit/tap.h"

#include "backends/container/label.h"
#include "backends/container/usermap.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

static char top[] = "/tmp/machinefs-unit-XXXXXX"; /* made by main() */
static char root[64];

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command) != 0)
		printf("# failed: %s\n", command);
}

/* A root as a newcomer would make it: bin/ with busybox, and nothing else. */
static void make_root(void)
{
	snprintf(root, sizeof(root), "%s/root", top);
	shell("mkdir -p %s/bin && cp \"$(command -v busybox)\" %s/bin/busybox && "
	      "cd %s/bin && for a in $(./busybox --list); do "
	      "[ $a = busybox ] || ln -s busybox $a; done",
	      root, root, root);
}

static int count_dir(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static int count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	int n = 0, c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* Runs init in a container and says whether it printed exactly want. */
static bool prints(struct harness *h, const char *init, const char *want)
{
	const char *got = harness_run(h, init);

	if (got && !strcmp(got, want))
		return true;
	printf("# %s\n# printed: %.400s\n# wanted: %s\n# error: %s\n", init,
	       got ? got : "(not run)", want, h->err.text);
	return false;
}

static bool refused(struct harness *h, const char *init, int code, const char *sentence)
{
	const char *got = harness_run(h, init);

	if (!got && h->err.code == code && strstr(h->err.text, sentence))
		return true;
	printf("# %s\n# got %s, %s\n", init, got ? got : "refused", h->err.text);
	return false;
}

static bool ended_as(struct harness *h, enum ending_kind kind, int code)
{
	if (h->ending.kind == kind && h->ending.code == code)
		return true;
	printf("# ended with kind %d code %d %s\n", h->ending.kind, h->ending.code, h->ending.why);
	return false;
}

static void test_basics(struct harness *h)
{
	ok(prints(h, "/bin/echo hello", "hello\n"), "echo in a root that has only bin/");
	ok(ended_as(h, ENDING_EXITED, 0), "exited 0");
	ok(h->counters[COUNTER_CONSOLE_BYTES] == 6, "six bytes counted");
	harness_run(h, "sh -c 'exit 42'");
	ok(ended_as(h, ENDING_EXITED, 42), "exited 42; a name is found in PATH");
	ok(harness_run(h,
		       "sh -c 'i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done'") &&
		   strstr(text_str(&h->output), "line 2999\n") && h->output.len == 28890,
	   "the last of much output is there");
	ok(prints(h, "sh -c 'echo $container $TERM $HOME $PATH $HOSTNAME'",
		  "machinefs xterm /root "
		  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin unit\n"),
	   "the default environment");
	ok(prints(h, "sh -c 'hostname; pwd; id -u; id -g; umask; tty; echo $$'",
		  "unit\n/\n0\n0\n0022\n/dev/pts/0\n1\n"),
	   "hostname, cwd, user, umask, tty, pid 1");
	ok(prints(h,
		  "sh -c 'ls /proc/self/fd | tr \"\\n\" \" \"; ls -l /proc/self/fd/0 | cut -d\\> "
		  "-f2'",
		  "0 1 2 3 "
		  " /dev/pts/0\n"),
	   "no descriptor but 0 1 2 (3 is ls's own)");
	ok(prints(h,
		  "sh -c 'grep -E \"Sig(Blk|Ign)\" /proc/self/status; cat "
		  "/proc/self/oom_score_adj'",
		  "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n"),
	   "no signal blocked or ignored, oom_score_adj 0");
}

static void test_settings(struct harness *h)
{
	struct container_config *c = &h->config.container;
	struct keyed_entry env[] = { { (char *)(uintptr_t) "PATH", (char *)(uintptr_t) "/bin" },
				     { (char *)(uintptr_t) "A", (char *)(uintptr_t) "b c=d" } };

	c->env = (struct keyed){ 2, env };
	ok(prints(h, "sh -c 'echo \"$A\" $PATH'", "b c=d /bin\n"), "init.env");
	env[0].value = (char *)(uintptr_t) "/nowhere:/etc";
	ok(refused(h, "sh", -ENOENT, "init: not in the root directory: sh"), "%s", h->err.text);
	c->env.n = 0;

	c->cwd = (char *)(uintptr_t) "/bin";
	ok(prints(h, "pwd", "/bin\n"), "init.cwd");
	c->cwd = (char *)(uintptr_t) "/missing";
	ok(refused(h, "pwd", -ENOENT, "init.cwd: /missing"), "%s", h->err.text);
	c->cwd = (char *)(uintptr_t) "relative";
	ok(refused(h, "pwd", -EINVAL, "init.cwd"), "%s", h->err.text);
	c->cwd = (char *)(uintptr_t) "/";

	c->user = (struct init_user){ 1234, 567 };
	ok(prints(h,
		  "sh -c 'id -u; id -g; id -G; grep -E \"Cap(Prm|Eff|Amb)\" /proc/self/status; "
		  "echo can write > /dev/tty'",
		  "1234\n567\n567\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
		  "CapAmb:\t0000000000000000\ncan write\n"),
	   "init.user has no capabilities, and its console");
	c->user = (struct init_user){ 0, 0 };

	c->hostname = (char *)(uintptr_t) "other.name";
	ok(prints(h, "hostname", "other.name\n"), "hostname");
	c->hostname = (char *)(uintptr_t) "";

	c->root_writable = ROOT_NONE;
	ok(prints(h, "sh -c 'echo x > /file; touch /dev/shm/x && echo but shm'",
		  "sh: can't create /file: Read-only file system\nbut shm\n"),
	   "root.writable none");
	c->root_writable = ROOT_DIRECT;
	ok(prints(h, "sh -c 'echo x > /file && cat /file && rm /file'", "x\n"),
	   "root.writable direct");
}

static void test_refusals(struct harness *h)
{
	char path[96];

	ok(refused(h, "", -EINVAL, "init: no command"), "%s", h->err.text);
	ok(refused(h, "sh -c 'x", -EINVAL, "init: a single quote"), "%s", h->err.text);
	ok(refused(h, "/bin/nothing", -ENOENT, "init: not in the root directory: /bin/nothing"),
	   "%s", h->err.text);
	ok(refused(h, "/bin", -EACCES, "init: not executable: /bin"), "%s", h->err.text);
	shell("echo hello > %s/bin/text; echo '#!/no/interpreter' > %s/bin/script; "
	      "printf '\\177ELF junk' > %s/bin/junk; touch %s/bin/plain; "
	      "chmod 755 %s/bin/text %s/bin/script %s/bin/junk",
	      root, root, root, root, root, root, root);
	ok(refused(h, "/bin/plain", -EACCES, "init: not executable"), "%s", h->err.text);
	ok(refused(h, "/bin/script", -ENOENT, "interpreter"), "%s", h->err.text);
	ok(refused(h, "/bin/junk", -EINVAL, "init: neither a program"), "%s", h->err.text);
	ok(refused(h, "text", -EINVAL, "init: neither a program"), "%s", h->err.text);

	snprintf(path, sizeof(path), "%s/empty", top);
	mkdir(path, 0755);
	h->config.container.root = path;
	ok(refused(h, "sh", -ENOENT, "init: not in the root directory"), "%s", h->err.text);
	snprintf(path, sizeof(path), "%s/nothing", top);
	ok(refused(h, "sh", -EINVAL, "root: no directory"), "%s", h->err.text);
	h->config.container.root = root;
	h->config.container.root_writable = ROOT_NONE;
	h->config.container.namespaces &= ~(uint64_t)NS_MOUNT;
	ok(refused(h, "sh", -EINVAL, "root.writable"), "%s", h->err.text);
	h->config.container.namespaces |= NS_MOUNT;
	h->config.container.root_writable = ROOT_DIRECT;
}

/* A root whose /proc, /sys or /dev is not a directory of its own. */
static void test_hostile_root(struct harness *h)
{
	static const char *const names[] = { "proc", "sys", "dev" };
	char path[96], outside[96];
	int mounts = count_lines("/proc/self/mountinfo");

	snprintf(path, sizeof(path), "%s/hostile", top);
	snprintf(outside, sizeof(outside), "%s/outside", top);
	shell("mkdir -p %s %s && cp -a %s/bin %s/", path, outside, root, path);
	h->config.container.root = path;
	for (size_t i = 0; i < 3; i++) {
		shell("cd %s && rm -rf proc sys dev && ln -s %s %s", path, outside, names[i]);
		ok(refused(h, "ls /", -EINVAL, names[i]), "a link: %s", h->err.text);
		shell("cd %s && rm -rf proc sys dev && ln -s ../outside %s", path, names[i]);
		ok(refused(h, "ls /", -EINVAL, names[i]), "a relative link: %s", h->err.text);
		shell("cd %s && rm -rf proc sys dev && touch %s", path, names[i]);
		ok(refused(h, "ls /", -EINVAL, names[i]), "a file: %s", h->err.text);
	}
	ok(count_dir(outside) == 2, "nothing came to be outside");
	ok(count_lines("/proc/self/mountinfo") == mounts, "no mount was left");
	/* What is missing on a filesystem that is read-only cannot be made. */
	shell("cd %s && rm -rf proc sys dev && mkdir proc && mount --bind . . && "
	      "mount -o remount,bind,ro %s",
	      path, path);
	ok(refused(h, "ls /", -ENOENT, "root: this directory is missing"), "%s", h->err.text);
	shell("umount %s", path);
	h->config.container.root = root;
}

/* The container's /proc/self/ns/NAME, compared with ours. */
static bool same_namespace(struct harness *h, const char *name)
{
	char mine[64] = "", path[64], init[128];

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	if (readlink(path, mine, sizeof(mine) - 1) < 0)
		return false;
	snprintf(init, sizeof(init), "readlink %s", path);
	if (!harness_run(h, init)) {
		printf("# %s\n", h->err.text);
		return false;
	}
	strtok(h->output.data, "\n");
	return !strcmp(text_str(&h->output), mine);
}

static void test_namespaces(struct harness *h)
{
	static const struct {
		const char *name;
		uint64_t bit;
	} all[] = {
		{ "pid", NS_PID },   { "mnt", NS_MOUNT }, { "net", NS_NET },
		{ "uts", NS_UTS },   { "ipc", NS_IPC },	  { "cgroup", NS_CGROUP },
		{ "user", NS_USER }, { "time", NS_TIME },
	};
	uint64_t *namespaces = &h->config.container.namespaces, old = *namespaces;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*namespaces = old | all[i].bit;
		ok(!same_namespace(h, all[i].name), "a %s namespace of its own", all[i].name);
		if (all[i].bit == NS_MOUNT) // no /proc then
			continue;
		*namespaces = old & ~all[i].bit;
		ok(same_namespace(h, all[i].name), "or the host's");
	}
	*namespaces = old & ~(uint64_t)NS_MOUNT;
	ok(prints(h, "sh -c 'ls / | cat; tty'", "bin\ndev\nproc\nsys\nnot a tty\n"),
	   "without a mount namespace a changed root, nothing mounted");
	*namespaces = NS_MOUNT;
	ok(prints(h, "sh -c 'echo alone; [ $$ -gt 1 ] && echo not 1'", "alone\nnot 1\n"),
	   "mount alone");
	*namespaces = old | NS_USER | NS_TIME;
	ok(prints(h,
		  "sh -c 'id -u; cat /proc/self/uid_map | tr -s \" \"; mknod /dev/shm/x c 1 3 || "
		  "echo no'",
		  "0\n 0 0 4294967295\nmknod: /dev/shm/x: Operation not permitted\nno\n"),
	   "user and time; root's default map is the identity");
	*namespaces = old;
	ok(prints(h,
		  "sh -c 'cut -d: -f2,3 /proc/self/cgroup | grep -E \"^(memory|pids):/$\" | wc -l; "
		  "cat /sys/fs/cgroup/pids/tasks /sys/fs/cgroup/cgroup.procs 2>/dev/null | head "
		  "-1'",
		  h->v2 ? "0\n1\n" : "2\n1\n"),
	   "the machine's group is the root of its cgroup namespace");
	ok(prints(h, "sh -c 'ping -c1 -W1 127.0.0.1 >/dev/null && echo lo; ls /sys/class/net'",
		  "lo\nlo\n"),
	   "the loopback interface is up, and alone");
}

static void test_owner(struct harness *h)
{
	struct id_map_range range = { 0, 100000, 10 };

	h->host.uid = 12345;
	h->host.gid = 12345;
	ok(prints(h,
		  "sh -c 'id -u; tr -s \" \" < /proc/self/uid_map; cat /proc/self/setgroups; "
		  "touch /file || echo no; stat -c %u /bin/busybox'",
		  "0\n 0 12345 1\ndeny\ntouch: /file: Permission denied\nno\n65534\n"),
	   "an ordinary owner's root is he himself outside");
	h->config.container.user_map = (struct id_map){ 1, &range };
	ok(refused(h, "sh", -EPERM, "user.map"), "%s", h->err.text);
	h->config.container.user.uid = 7;
	h->config.container.user_map.n = 0;
	ok(refused(h, "sh", -EINVAL, "init.user"), "%s", h->err.text);
	h->config.container.user.uid = 0;
	h->host.uid = h->host.gid = 0;
	h->config.container.namespaces |= NS_USER;
	h->config.container.user_map = (struct id_map){ 1, &range };
	range.count = 1000;
	shell("chown 100000 %s", root); // /proc, /sys and /dev are there; only to look
	ok(prints(h, "sh -c 'tr -s \" \" < /proc/self/uid_map; stat -c %u / /dev/null'",
		  " 0 100000 1000\n0\n65534\n"),
	   "root maps as he likes");
	shell("chown 0 %s", root);
	h->config.container.namespaces &= ~(uint64_t)NS_USER;
	h->config.container.user_map.n = 0;
}

static void test_privileges(struct harness *h)
{
	static char none[] = "none", standard[] = "default"; // h goes on with it
	struct container_config *c = &h->config.container;

	ok(prints(h,
		  "sh -c 'grep -E \"Cap(Inh|Prm|Eff|Bnd|Amb)|NoNew|Seccomp:\" /proc/self/status'",
		  "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
		  "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
		  "CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"),
	   "default capabilities, no_new_privs, a filter");
	c->no_new_privs = false;
	c->capabilities = CAPABILITY_BIT(CAP_CHOWN);
	ok(prints(h, "sh -c 'grep -E \"Cap(Prm|Bnd)|NoNew|Seccomp:\" /proc/self/status'",
		  "CapPrm:\t0000000000000001\nCapBnd:\t0000000000000001\n"
		  "NoNewPrivs:\t0\nSeccomp:\t2\n"),
	   "one capability, and the filter without no_new_privs");
	c->user.uid = 1234;
	ok(prints(h, "sh -c 'grep -E \"CapEff|NoNew|Seccomp:\" /proc/self/status'",
		  "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n"),
	   "and for an init that is not root");
	c->user.uid = 0;
	c->no_new_privs = true;
	c->capabilities = CAPABILITIES_DEFAULT | CAPABILITY_BIT(CAP_SYS_ADMIN);
	ok(prints(h, "mount -t tmpfs x /bin", "mount: permission denied (are you root?)\n"),
	   "the filter refuses mount even to CAP_SYS_ADMIN");
	c->seccomp = none;
	ok(prints(h,
		  "sh -c 'mount -t tmpfs x /bin && grep Seccomp: /proc/self/status; "
		  "/bin/true || echo hidden'",
		  "Seccomp:\t0\nsh: /bin/true: not found\nhidden\n"),
	   "and without the filter it is allowed");
	c->seccomp = standard;
	c->capabilities = CAPABILITIES_DEFAULT;
	ok(prints(h,
		  "sh -c 'unshare -m true; mount -o remount,rw /sys; hostname x; echo 1 > "
		  "/proc/sys/kernel/panic; echo f > /proc/irq/default_smp_affinity; chroot / echo "
		  "but chroot'",
		  "unshare: unshare(0x20000): Operation not permitted\n"
		  "mount: permission denied (are you root?)\n"
		  "hostname: sethostname: Operation not permitted\n"
		  "sh: can't create /proc/sys/kernel/panic: Read-only file system\n"
		  "sh: can't create /proc/irq/default_smp_affinity: Read-only file system\n"
		  "but chroot\n"),
	   "what else is refused");
	ok(prints(h,
		  "sh -c 'mknod /dev/shm/../mem c 1 1 && cat /dev/mem; mknod /vda b 254 0; "
		  "cat /vda; rm -f /vda'",
		  "cat: can't open '/dev/mem': Operation not permitted\n"
		  "cat: can't open '/vda': Operation not permitted\n"),
	   "device nodes of the host can be made but not opened");
}

static void test_files(struct harness *h)
{
	ok(prints(h,
		  "sh -c 'cd /dev; for i in null zero full random urandom tty console ptmx; do "
		  "[ -c $i ] && echo -n \"$i \"; done; ls -d pts shm mqueue fd stdin stdout stderr "
		  "| "
		  "tr \"\\n\" \" \"; stat -c %a null shm pts/ptmx'",
		  "null zero full random urandom tty console ptmx "
		  "fd mqueue pts shm stderr stdin stdout 666\n1777\n666\n"),
	   "/dev");
	ok(prints(h,
		  "sh -c 'echo on console > /dev/console; echo out > /dev/stdout; "
		  "echo x > /dev/full; head -c 3 /dev/zero | wc -c'",
		  "on console\nout\nsh: write error: No space left on device\n3\n"),
	   "its devices work");
	ok(prints(h,
		  "sh -c 'cd /proc; cat kcore keys timer_list sched_debug 2>/dev/null | wc -c; "
		  "find /sys/firmware acpi scsi asound -mindepth 1 2>/dev/null | wc -l'",
		  "0\n0\n"),
	   "masked paths are empty");
	ok(prints(h,
		  "sh -c 'touch /sys/x; mkdir /sys/fs/cgroup/x; for f in bus fs irq sys "
		  "sysrq-trigger; do [ ! -e /proc/$f ] || mount | grep -q \"^proc on "
		  "/proc/$f .*(ro\" || echo $f; done'",
		  "touch: /sys/x: Read-only file system\n"
		  "mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system\n"),
	   "/sys and parts of /proc are read-only");
	ok(prints(h,
		  "sh -c 'mount | cut -d\" \" -f3 | grep -v -E \"^/(proc|sys|dev)\"; ls / | cat'",
		  "/\nbin\ndev\nproc\nsys\n"),
	   "none of the host's mounts is seen");
}

/* Starts init and waits until it has printed so much. */
static bool start_until(struct harness *h, const char *init, size_t len)
{
	h->config.container.init = (char *)(uintptr_t)init;
	if (harness_start(h) < 0) {
		printf("# %s: %s\n", init, h->err.text);
		return false;
	}
	for (int i = 0; i < 200 && h->output.len < len && !h->ended; i++)
		harness_loop(h, 20);
	return h->output.len >= len;
}

static void test_verbs(struct harness *h)
{
	const struct engine *engine = &container_engine;
	size_t len;

	ok(start_until(
		   h,
		   "sh -c 'trap \"echo bye; exit 3\" TERM; echo hi; while :; do sleep 0.05; done'",
		   3) &&
		   engine->stop(h->self, &h->err) == 0 && harness_finish(h) &&
		   ended_as(h, ENDING_EXITED, 3) && !strcmp(text_str(&h->output), "hi\nbye\n"),
	   "stop asks by SIGTERM, and what it says last is kept");
	ok(start_until(h, "sh -c 'trap \"exit 7\" USR1; echo hi; while :; do sleep 0.05; done'",
		       3) &&
		   engine->signal(h->self, SIGUSR1, &h->err) == 0 && harness_finish(h) &&
		   ended_as(h, ENDING_EXITED, 7),
	   "signal");
	ok(start_until(h, "sh -c 'echo hi; sleep 1000 & sleep 1000'", 3) &&
		   engine->pid(h->self) > 1 && kill(engine->pid(h->self), 0) == 0 &&
		   engine->signal(h->self, 0, &h->err) == -EINVAL &&
		   engine->signal(h->self, 65, &h->err) == -EINVAL &&
		   engine->kill(h->self, &h->err) == 0 && harness_finish(h) &&
		   ended_as(h, ENDING_SIGNALED, SIGKILL),
	   "kill");
	ok(start_until(h, "sh -c 'while :; do echo x; sleep 0.01; done'", 4) &&
		   engine->pause(h->self, &h->err) == 0,
	   "pause %s", h->err.text);
	harness_loop(h, 50);
	len = h->output.len;
	harness_loop(h, 200);
	ok(len == h->output.len, "nothing is printed then");
	ok(engine->resume(h->self, &h->err) == 0 && !harness_loop(h, 200) && h->output.len > len,
	   "and again after resume");
	ok(engine->pause(h->self, &h->err) == 0 && engine->kill(h->self, &h->err) == 0 &&
		   harness_finish(h) && ended_as(h, ENDING_SIGNALED, SIGKILL),
	   "kill while paused");
	ok(start_until(h, "sh -c 'echo hi; read a; echo got $a'", 3) &&
		   engine->input(h->self, "words\n", 6) == 6 && harness_finish(h) &&
		   !strcmp(text_str(&h->output), "hi\nwords\ngot words\n"),
	   "input is echoed and read");
	ok(start_until(h, "sh -c 'stty -icanon; echo hi; sleep 0.3; head -c 50000 | wc -c'", 3),
	   "cat");
	{
		static char much[200000];

		memset(much, 'a', sizeof(much));
		len = engine->input(h->self, much, sizeof(much));
		ok(len >= 50000 && len < sizeof(much), "of 200000 bytes %zu are taken", len);
		ok(harness_finish(h) && strstr(text_str(&h->output), "50000\n"),
		   "and what was taken arrives");
	}
	h->config.container.namespaces &= ~(uint64_t)NS_PID;
	ok(start_until(h, "sh -c 'echo hi; setsid sh -c \"sleep 1000 & sleep 1000\" & sleep 1000'",
		       3) &&
		   engine->kill(h->self, &h->err) == 0 && harness_finish(h),
	   "without a pid namespace kill ends all processes too");
	ok(start_until(h, "sh -c 'echo hi; setsid sleep 1000 & exit 5'", 3) && harness_finish(h) &&
		   ended_as(h, ENDING_EXITED, 5),
	   "as does init's end");
	h->config.container.namespaces |= NS_PID;
	ok(start_until(h, "sh -c 'exec <&- >/dev/null 2>&1; sleep 0.3'", 0) && harness_finish(h) &&
		   ended_as(h, ENDING_EXITED, 0),
	   "a console that nobody has open");
}

static void test_limits(struct harness *h)
{
	struct text t = TEXT_INIT;

	bool v2;

	if (cgroup_new(h->groups, h->host.name, &h->group, &h->err) < 0)
		return;
	if (cgroup_dir(h->group, NEED_PIDS, &v2) < 0 ||
	    cgroup_dir(h->group, NEED_MEMORY, &v2) < 0) {
		harness_clean(h);
		return;
	}
	cgroup_free(h->group);
	h->config.pids_max = 20;
	ok(start_until(h, "sh -c 'bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done'", 1),
	   "a fork bomb meets pids.max");
	cgroup_read(h->group, CGROUP_PIDS_CURRENT, &t, &h->err);
	ok(strtol(text_str(&t), NULL, 10) <= 20, "pids.current %s", strtok(t.data, "\n"));
	ok(container_engine.kill(h->self, &h->err) == 0 && harness_finish(h), "and is killed");
	h->config.pids_max = LIMIT_MAX;
	text_free(&t);

	h->config.memory_size = 16 << 20;
	harness_run(h, "sh -c 'head -c 60000000 /dev/zero | tail | wc -c; echo ${x}ended'");
	ok(!strstr(text_str(&h->output), "60000000") && h->ended, "memory.size kills");
	h->config.memory_size = LIMIT_MAX;
}

/* The monitor's death is the container's: a process that is killed with its container running. */
static void test_monitor_death(struct harness *h)
{
	int pipes[2], status;
	pid_t monitor, init = 0;
	bool gone = false;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return;
	monitor = fork();
	if (monitor == 0) {
		event_reinit(h->host.loop);
		start_until(h, "sh -c 'echo hi; sleep 1000'", 3);
		init = container_engine.pid(h->self);
		if (write(pipes[1], &init, sizeof(init)) < 0)
			_exit(1);
		pause();
	}
	close(pipes[1]);
	ok(read(pipes[0], &init, sizeof(init)) == sizeof(init) && init > 1, "a monitor apart");
	kill(monitor, SIGKILL);
	waitpid(monitor, &status, 0);
	for (int i = 0; i < 200 && !gone; i++) {
		gone = kill(init, 0) < 0;
		usleep(10000);
	}
	ok(gone, "its container dies with it");
	close(pipes[0]);
	ok(harness_clean(h), "the group is empty");
}

static void test_leaks(struct harness *h)
{
	int fds = count_dir("/proc/self/fd"), mounts = count_lines("/proc/self/mountinfo");
	int failed = 0;

	for (int i = 0; i < 200; i++)
		failed += !harness_run(h, i % 2 ? "/bin/true" : "/bin/false") ||
			  h->ending.code != (i % 2 ? 0 : 1);
	for (int i = 0; i < 50; i++)
		failed += harness_run(h, "/missing") != NULL;
	ok(failed == 0, "250 starts");
	ok(count_dir("/proc/self/fd") == fds, "no descriptor is left");
	ok(count_lines("/proc/self/mountinfo") == mounts, "no mount is left");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no process is left");
}

/* On a hybrid host, the same engine with groups of one version alone. */
static void test_version(const char *type)
{
	struct harness h;

	if (harness_new_version(&h, root, type) < 0) {
		printf("# not a hybrid host: no %s alone\n", type);
		return;
	}
	printf("# %s alone\n", type);
	test_verbs(&h);
	test_limits(&h);
	if (h.v2)
		ok(prints(&h,
			  "sh -c 'grep -c ^0::/$ /proc/self/cgroup; "
			  "head -1 /sys/fs/cgroup/cgroup.procs'",
			  "1\n1\n"),
		   "its group is the root of its cgroup namespace");
	else
		ok(prints(&h,
			  "sh -c 'grep -c :cpuacct:/$ /proc/self/cgroup; "
			  "head -1 /sys/fs/cgroup/memory/tasks; ls /sys/fs/cgroup | wc -l'",
			  "1\n1\n6\n"),
		   "its groups are the roots of its cgroup namespace");
	ok(prints(&h, "sh -c 'mknod /dev/mem c 1 1; cat /dev/mem'",
		  "cat: can't open '/dev/mem': Operation not permitted\n"),
	   "device nodes of the host cannot be opened");
	harness_free(&h);
}

/* Many starts at once in one process, as with isolation = thread, while the heap is busy. */
static void *run_some(void *arg)
{
	struct harness h;
	long failed = 0;
	char init[64];

	if (harness_new(&h, root) < 0)
		return (void *)1L;
	h.host.name = arg;
	for (int i = 0; i < 25; i++) {
		char want[32];

		snprintf(init, sizeof(init), "echo %s %d", (char *)arg, i);
		snprintf(want, sizeof(want), "%s %d\n", (char *)arg, i);
		if (!harness_run(&h, init) || strcmp(text_str(&h.output), want)) {
			printf("# %s: %s\n", h.err.text, text_str(&h.output));
			failed++;
		}
		for (int k = 0; k < 1000; k++)
			free(malloc((size_t)k * 16));
	}
	harness_free(&h);
	return (void *)failed;
}

static void test_threads(void)
{
	static char names[4][8] = { "t0", "t1", "t2", "t3" };
	pthread_t threads[4];
	long failed = 0;
	void *one;

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, run_some, names[i]);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &one);
		failed += (long)one;
	}
	ok(failed == 0, "four threads run 25 containers each");
}

/* In a process of its own: what it would have told the kernel, if a file stood in its place. */
static void label_into(const char *file, const struct container_config *c)
{
	const char *what;
	char own[64];

	snprintf(own, sizeof(own), "/proc/%d/attr/exec", (int)getpid());
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(file, own, NULL, MS_BIND, NULL) < 0)
		_exit(99);
	_exit(label_set(c, &what) < 0);
}

static const char *labelled(char *apparmor, char *selinux)
{
	const struct container_config c = { .apparmor = apparmor, .selinux = selinux };
	static char said[128];
	char file[64];
	int fd, status;
	ssize_t n = 0;
	pid_t pid;

	snprintf(file, sizeof(file), "%s/label", top);
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid = fork();
	if (pid == 0)
		label_into(file, &c);
	waitpid(pid, &status, 0);
	n = pread(fd, said, sizeof(said) - 1, 0);
	said[n < 0 ? 0 : n] = '\0';
	close(fd);
	unlink(file);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? said : "failed";
}

/* As the kernel's two modules want it; which of them there is has been asked before. */
static void test_labels(void)
{
	static char profile[] = "a-profile", context[] = "system_u:system_r:container_t:s0:c1,c2";

	ok(!strcmp(labelled(profile, NULL), "exec a-profile"), "AppArmor's profile");
	ok(!strcmp(labelled(NULL, context), context), "SELinux's context");
	ok(!strcmp(labelled(NULL, NULL), ""), "neither");
}

static void test_map(void)
{
	static const char map[] = "0 100000 65536\n70000 5 1\n";
	unsigned id = 0;

	ok(usermap_outside(map, 0, &id) && id == 100000, "a map's first id has another outside");
	ok(usermap_outside(map, 65535, &id) && id == 165535, "so has the last of a range");
	ok(!usermap_outside(map, 65536, &id), "the next has none");
	ok(usermap_outside(map, 70000, &id) && id == 5, "a range of one is one");
	ok(!usermap_outside(map, 69999, &id) && !usermap_outside(map, 70001, &id),
	   "and no more, on either side");
	ok(!usermap_outside("", 0, &id), "an empty map has nobody");
}

int main(void)
{
	struct harness h;

	if (geteuid() != 0)
		skip_all("needs root");
	if (system("command -v busybox >/dev/null") != 0)
		skip_all("needs busybox-static");
	if (!mkdtemp(top))
		return 1;
	make_root();
	if (harness_new(&h, root) < 0)
		skip_all(h.err.text);
	if (open(root, O_RDONLY) < 0) // not O_CLOEXEC: what must not be seen in a container
		return 1;
	test_version("cgroup2");
	test_version("cgroup");
	test_basics(&h);
	test_settings(&h);
	test_refusals(&h);
	test_hostile_root(&h);
	test_namespaces(&h);
	test_owner(&h);
	test_privileges(&h);
	test_files(&h);
	test_verbs(&h);
	test_limits(&h);
	test_monitor_death(&h);
	test_threads();
	test_labels();
	test_map();
	test_leaks(&h);
	harness_free(&h);
	shell("rm -rf --one-file-system %s; rmdir /sys/fs/cgroup/*/machinefs-unit-%d "
	      "/sys/fs/cgroup/machinefs-unit-%d 2>/dev/null; true",
	      top, (int)getpid(), (int)getpid());
	return tap_done();
}
