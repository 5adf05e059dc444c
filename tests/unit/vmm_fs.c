/*
 * Unit test of virtio-fs on a memory image: with the virtiofsd of this machine, if there is one, as
 * its server; and with servers that answer nonsense, nothing, or die.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/harness_virtio.h"
#include "tests/unit/harness_virtiofsd.h"
#include "vmm/virtio/virtio_fs.h"

#define OUT HARNESS_BUFFERS
#define IN  (HARNESS_BUFFERS + 0x10000)

/* One FUSE request of the guest's; the error in its answer. */
static int fuse(struct harness *h, uint32_t opcode, const void *arg, uint32_t len, void *ret,
		uint32_t ret_len)
{
	struct fuse_in_header in = {
		.len = sizeof(in) + len, .opcode = opcode, .unique = 7, .nodeid = 1
	};
	struct fuse_out_header out;
	struct harness_buffer b[2] = { { OUT, sizeof(in) + len, false },
				       { IN, sizeof(out) + ret_len, true } };
	struct pollfd p = { h->call_fd[1], POLLIN, 0 };
	uint64_t count = 1;

	memcpy(harness_at(h, OUT, sizeof(in)), &in, sizeof(in));
	memcpy(harness_at(h, OUT + sizeof(in), len + 1), arg, len);
	harness_offer(h, 1, b, 2);
	if (write(h->kick_fd[1], &count, 8) != 8)
		return -1000;
	/* A server interrupts once when it is started, too. */
	do
		if (poll(&p, 1, 10000) != 1 || read(h->call_fd[1], &count, 8) != 8)
			return -1000;
	while (harness_take(h, 1, NULL) < 0);
	memcpy(&out, harness_at(h, IN, sizeof(out)), sizeof(out));
	memcpy(ret, harness_at(h, IN + sizeof(out), ret_len), ret_len);
	return out.unique == 7 ? out.error : -1001;
}

static void test_served(const char *dir)
{
	struct fuse_init_in init = { .major = 7, .minor = 31, .max_readahead = 65536 };
	struct fuse_init_out inited;
	struct fuse_entry_out entry;
	struct virtio_device *d = NULL;
	struct harness h;
	struct err e = { 0 };
	struct virtio_env env;
	char tag[37] = "";
	uint32_t queues;
	int server;
	pid_t pid;

	harness_init(&h);
	env = harness_env(&h);
	for (int i = 0; i < 2; i++) {
		h.kick_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		h.call_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
	pid = virtiofsd_start(dir, &server);
	if (!ok(virtio_fs_new(&env, "share/data", "data", server, &d, &e) == 0,
		"fs: a device served by virtiofsd %s", e.text))
		exit(tap_done());
	d->ops->config_read(d, 0, tag, 36);
	d->ops->config_read(d, 36, &queues, 4);
	ok(!strcmp(tag, "data") && queues == 1, "fs: its tag is its name");
	ok(harness_start(&h, d, 0) == 0, "fs: started");
	ok(fuse(&h, FUSE_INIT, &init, sizeof(init), &inited, sizeof(inited)) == 0 &&
		   inited.major == 7,
	   "fs: the guest's first word is answered");
	ok(fuse(&h, FUSE_LOOKUP, "file", 5, &entry, sizeof(entry)) == 0 && entry.attr.size == 6,
	   "fs: a file of the directory is there");
	virtio_stop(d);
	ok(harness_go_on(&h) == 0 && fuse(&h, FUSE_LOOKUP, "file", 5, &entry, sizeof(entry)) == 0,
	   "fs: stopped, it goes on where it was");
	ok(fuse(&h, FUSE_LOOKUP, "none", 5, &entry, sizeof(entry)) == -ENOENT,
	   "fs: and another one is not");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 10000 && !h.resets_needed; i++) { // a child of its own dies after it
		event_base_loop(h.loop, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	ok(h.resets_needed == 1 && !strcmp(h.failed, "share/data: its server is gone"),
	   "fs: when it dies the device is broken: %s", h.failed);
	virtio_reset(d);
	ok(harness_start(&h, d, 0) < 0, "fs: and does not start again");
	for (int i = 0; i < 2; i++) {
		close(h.kick_fd[i]);
		close(h.call_fd[i]);
	}
	harness_free(&h);
}

/* A server that says these words, whatever it is asked, and then hangs up. */
static int answer(struct harness *h, const void *words, size_t len, struct err *e)
{
	struct virtio_device *d = NULL;
	struct virtio_env env = harness_env(h);
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ||
	    write(fds[1], words, len) != (ssize_t)len || shutdown(fds[1], SHUT_WR) < 0)
		abort();
	r = virtio_fs_new(&env, "share/data", "data", fds[0], &d, e);
	close(fds[1]);
	return r;
}

static void test_unserved(void)
{
	uint32_t features[5] = { 1, 5, 8, 0, 0 }, other[5] = { 2, 5, 8, 0, 0 };
	uint32_t huge[5] = { 1, 5, 0xffffffff, 0, 0 };
	struct harness h;
	struct err e = { 0 };

	harness_init(&h);
	ok(answer(&h, "", 0, &e) == -EIO && strstr(e.text, "its server is gone"), "fs: %s", e.text);
	ok(answer(&h, other, 20, &e) == -EIO && strstr(e.text, "something else"), "fs: %s", e.text);
	ok(answer(&h, huge, 20, &e) == -EIO && strstr(e.text, "something else"),
	   "fs: a size of 4 GiB");
	ok(answer(&h, features, 12, &e) == -EIO, "fs: half an answer");
	ok(answer(&h, features, 20, &e) < 0, "fs: a device of long ago");
	h.device = NULL;
	harness_free(&h);
}

int main(void)
{
	char dir[] = "/tmp/fs-test.XXXXXX", command[100];

	if (!mkdtemp(dir))
		return 1;
	test_unserved();
	snprintf(command, sizeof(command), "echo hello > %s/file", dir);
	if (system(command) != 0)
		return 1;
	if (virtiofsd_there())
		test_served(dir);
	else
		ok(true, "served # SKIP needs root and " VIRTIOFSD);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || tap_done();
}
