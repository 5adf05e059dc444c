/*
 * A daemon without its mount, for fuzz targets: the real one on a state directory of its own, no
 * control groups; the target plays the front, and the monitors: spawn_process() is replaced, so a
 * monitor is a `struct peer` that has the listening socket and does what the target makes it do.
 */
#ifndef TESTS_FUZZ_DAEMON_H
#define TESTS_FUZZ_DAEMON_H

#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <ftw.h>

#include "backends/host/opener.h"
#include "backends/host/spawn.h"
#include "backends/monitor/wire.h"
#include "fs/daemon.h"
#include "fs/machine/machine.h"
#include "tests/fuzz/fuzz.h"

#define PEERS_MAX 64

struct peer {
	uint64_t tag;  /* of the configuration that START has brought */
	char name[96]; /* of the machine when it was started: "container/web" */
	int listener, fd, exit_fd;
	bool used;
};

static char fuzz_root[256]; // holds state/ and run/
static struct daemon *fuzz_daemon;
static struct peer fuzz_peers[PEERS_MAX];

static void front_poll(void *poll)
{
}

static void (*fuzz_invalidate)(
	uint64_t ino); // the target's, if it plays a kernel that keeps things

static void front_invalidate(const struct front *f, uint64_t ino)
{
	if (fuzz_invalidate)
		fuzz_invalidate(ino);
}

static const struct front fuzz_front = { front_poll, front_poll, front_invalidate };

/* ---- the played monitor ---- */

static void peer_free(struct peer *p)
{
	int *fds[] = { &p->listener, &p->fd, &p->exit_fd };

	for (size_t i = 0; p->used && i < sizeof(fds) / sizeof(fds[0]); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
	*p = (struct peer){ .used = false };
}

__attribute__((unused)) static struct peer *peer_find(const char *name)
{
	for (int i = 0; i < PEERS_MAX; i++)
		if (fuzz_peers[i].used && !strcmp(fuzz_peers[i].name, name))
			return &fuzz_peers[i];
	return NULL;
}

/* Stands in for backends/host/spawn.c: no process, but the descriptor that it would be given. */
int spawn_process(const struct spawn *s, pid_t *ret_pid, struct err *e)
{
	if (strcmp(s->argv[1], "--monitor") != 0)
		return err_set(e, -ENOSYS, "there are no monitors in waiting here");
	for (int i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &fuzz_peers[i];

		if (p->used)
			continue;
		*p = (struct peer){ .used = true, .fd = -1, .exit_fd = -1 };
		p->listener = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
		snprintf(p->name, sizeof(p->name), "%s", s->argv[2]);
		*ret_pid = 0;
		return 0;
	}
	return err_set(e, -ENOSPC, "start: no more peers");
}

__attribute__((unused)) static bool peer_accept(struct peer *p)
{
	if (p->fd < 0)
		p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return p->fd >= 0;
}

__attribute__((unused)) static void peer_say_hello(struct peer *p, enum wire_run run)
{
	struct wire_hello h = { .state = { .run = run }, .tty = "/dev/pts/7", .tag = p->tag };

	wire_send(p->fd, WIRE_HELLO, 0, &h, sizeof(h), NULL, 0, NULL, 0);
}

__attribute__((unused)) static void peer_say_state(struct peer *p, enum wire_run run,
						   const struct ending *ending)
{
	struct wire_state s = { .run = run };

	if (ending)
		wire_ending_from(&s.ending, ending);
	wire_send(p->fd, WIRE_STATE, 0, &s, sizeof(s), NULL, 0, NULL, 0);
}

__attribute__((unused)) static void peer_reply(struct peer *p, uint32_t seq, int code)
{
	struct wire_reply r = { .code = code, .text = "init: the fuzzer does not want to" };

	wire_send(p->fd, WIRE_REPLY, seq, &r, sizeof(r), NULL, 0, NULL, 0);
}

/* ---- the daemon ---- */

/* Stands in for that of backends/cgroup/cgroup.c: this host's groups are no business of an input's.
 */
int __wrap_cgroup_host_new(const char *parent, struct cgroup_host **ret, struct err *e);

int __wrap_cgroup_host_new(const char *parent, struct cgroup_host **ret, struct err *e)
{
	return err_set(e, -ENXIO, "there are no control groups here");
}

/* Stand in for those of backends/host/opener.c, whose process would be this program again. */
int __wrap_opener_open(struct opener *o, const struct hostpath *p, int *ret_fd, struct err *e);
int __wrap_opener_check(struct opener *o, const struct hostpath *p, struct err *e);
int __wrap_opener_check_map(struct opener *o, const struct id_map *map, uid_t uid, gid_t gid,
			    struct err *e);

int __wrap_opener_open(struct opener *o, const struct hostpath *p, int *ret_fd, struct err *e)
{
	return hostpath_open(p, ret_fd, e);
}

int __wrap_opener_check(struct opener *o, const struct hostpath *p, struct err *e)
{
	int fd, rc = hostpath_open(p, &fd, e);

	if (rc == 0)
		close(fd);
	return rc;
}

int __wrap_opener_check_map(struct opener *o, const struct id_map *map, uid_t uid, gid_t gid,
			    struct err *e)
{
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

__attribute__((unused)) static void fuzz_sweep(void)
{
	nftw(fuzz_root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void fuzz_place(void)
{
	const char *tmp = getenv("TEST_TMP");

	if (!*fuzz_root)
		snprintf(fuzz_root, sizeof(fuzz_root), "%s/fuzz-%s-%d", tmp ? tmp : "/tmp",
			 fuzz_name, (int)getpid());
	mkdir(fuzz_root, 0700);
}

/* The daemon of this place, new or again; what it cannot do is the caller's to judge. */
__attribute__((unused)) static int fuzz_daemon_start(struct err *e)
{
	char state[300], run[300];
	struct daemon_options options = { .state_dir = state, .run_dir = run };
	int rc;

	fuzz_place();
	snprintf(state, sizeof(state), "%s/state", fuzz_root);
	snprintf(run, sizeof(run), "%s/run", fuzz_root);
	rc = daemon_new(&options, &fuzz_daemon, e);
	if (rc < 0) {
		fuzz_daemon = NULL;
		return rc;
	}
	fuzz_daemon->front = &fuzz_front;
	return 0;
}

/* Ends as serve() of fs/main.c does; the handles that are open, as the front has them. */
__attribute__((unused)) static void fuzz_daemon_stop(struct handle **handles[], size_t n)
{
	if (!fuzz_daemon)
		return;
	daemon_release(fuzz_daemon);
	for (size_t i = 0; i < n; i++) {
		if (*handles[i])
			handle_close(*handles[i]);
		*handles[i] = NULL;
	}
	daemon_free(fuzz_daemon);
	fuzz_daemon = NULL;
	for (int i = 0; i < PEERS_MAX; i++)
		peer_free(&fuzz_peers[i]);
}

/* All that is due now. */
__attribute__((unused)) static void fuzz_daemon_turn(void)
{
	for (int i = 0; i < 4; i++)
		event_base_loop(fuzz_daemon->loop, EVLOOP_NONBLOCK);
}

/* ---- requests ---- */

#define PENDING (-100000) /* as a result: not answered */

struct fuzz_request {
	struct request request; /* first */
	int result;
	int answers;
};

__attribute__((unused)) static void fuzz_answer(struct request *r, int result)
{
	struct fuzz_request *f = (struct fuzz_request *)r;

	f->result = result;
	fuzz_check(f->answers++ == 0);
	fuzz_check(result >= 0 || err_public(-result) == -result);
}

__attribute__((unused)) static void fuzz_request_init(struct fuzz_request *f)
{
	*f = (struct fuzz_request){ .result = PENDING, .request.answer = fuzz_answer };
}

/* The client has gone, as fs/front/fuse.c tells it. */
__attribute__((unused)) static void fuzz_interrupt(struct fuzz_request *f)
{
	if (f->answers || !f->request.cancel)
		return;
	f->request.cancel(&f->request);
	free(f->request.rest);
	f->request.rest = NULL;
	f->answers = 1;
}

/* The whole of a file, as one who opens it anew reads it. */
__attribute__((unused)) static const char *fuzz_cat(struct object *o, const char *name,
						    struct text *out)
{
	struct handle *h;
	struct node n;
	struct stat st;
	const char *data = "";
	ssize_t got;

	text_clear(out);
	if (node_lookup(node_of(o), name, (struct caller){ 0 }, &n) < 0)
		return NULL;
	node_stat(n, &st);
	if (node_open(n, O_RDONLY, (struct caller){ 0, 0 }, &h) < 0)
		return NULL;
	do {
		got = handle_read(h, 65536, (off_t)out->len, &data);
		fuzz_check(got >= 0);
		text_add_bytes(out, data, (size_t)got);
	} while (got > 0);
	handle_close(h);
	fuzz_check(st.st_size == (off_t)out->len);
	return text_str(out);
}

#endif
