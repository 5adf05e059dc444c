/*
 * A hostile daemon: whatever a monitor is told, it answers each START, VERB, CONFIGURE and message
 * of a session at most once, ends, and leaves no descriptor behind. The real monitor with an engine
 * that does nothing. The input is a list of messages: a byte of the type, one of the length, the
 * body. Type 0 is a new connection; START (1) is a good one, changed at the places that its body
 * names, followed by YAML.
 */
#include <errno.h>
#include <stdatomic.h>
#include <event2/event.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "backends/monitor/console.h"
#include "backends/monitor/monitor.h"
#include "backends/monitor/wire.h"
#include "fs/attr/attr.h"
#include "fs/store/config_yaml.h"
#include "tests/fuzz/fuzz.h"

#define CONNECTIONS 4

/* ---- an engine ---- */

struct null_engine {
	struct engine_host *host;
	struct event *end;
	uint64_t token; // of a session that is answered at the end, or 0
	bool ended;
};

static void null_end(struct null_engine *n, enum ending_kind kind)
{
	struct ending ending = { .kind = kind, .code = 9 };

	if (n->token)
		n->host->exec->answer(n->host, n->token, -ENXIO,
				      &(struct err){ -ENXIO, "ctl: it ended" });
	n->token = 0;
	if (!n->ended)
		n->host->ended(n->host, &ending);
	n->ended = true;
}

static void on_end(int fd, short what, void *arg)
{
	null_end(arg, ENDING_EXITED);
}

static int null_start(struct engine_host *host, void **ret_self, struct err *e)
{
	static const struct timeval soon = { .tv_usec = 100 };
	struct null_engine *n;

	fuzz_check(host->config && strlen(host->name) < 64);
	if (!strcmp(host->name, "refuse"))
		return err_set(e, -ENOENT, "init: refused");
	n = calloc(1, sizeof(*n));
	n->host = host;
	n->end = evtimer_new(host->loop, on_end, n);
	evtimer_add(n->end, &soon);
	atomic_fetch_add(&host->counters[COUNTER_MAX - 1], 1);
	console_output(host->console, "hello\n", 6);
	*ret_self = n;
	return 0;
}

static pid_t null_pid(void *self)
{
	return 7;
}

static int null_verb(void *self, struct err *e)
{
	return 0;
}

static int null_kill(void *self, struct err *e)
{
	null_end(self, ENDING_SIGNALED);
	return 0;
}

static int null_signal(void *self, int signo, struct err *e)
{
	fuzz_check(signo > 0 && signo < 65);
	return signo == 9 ? err_set(e, -EBUSY, "ctl: not this one") : 0;
}

static int null_configure(void *self, const struct machine_config *next, struct err *e)
{
	struct null_engine *n = self;

	for (size_t i = 0; i < next->parts[PART_MOUNT].n; i++) {
		const char *name = next->parts[PART_MOUNT].list[i].name;
		int fd = engine_take_fd(n->host, PART_MOUNT, name, 0);

		if (!strcmp(name, "no"))
			err_set(e, -ENXIO, "mount/no: not this one");
		if (fd >= 0)
			close(fd);
		if (e->code)
			return e->code;
	}
	return 0;
}

static void session_say(struct null_engine *n, uint64_t id, uint64_t token, bool running)
{
	struct exec_state s = { .id = id, .token = token, .running = running, .pid = 8 };

	n->host->exec->state(n->host, &s);
	n->host->exec->grew(n->host, id, 3);
}

/* What it is given adds up: texts that end, descriptors that are open. */
static int session_start(void *self, struct exec_spec *s, uint64_t token, struct err *e)
{
	struct null_engine *n = self;
	size_t len = strlen(s->argv) + strlen(s->cwd);

	for (size_t i = 0; i < s->env.n; i++)
		len += strlen(s->env.entries[i].key) + strlen(s->env.entries[i].value);
	fuzz_check(len < WIRE_CONFIG_MAX && s->ngroups <= EXEC_GROUPS_MAX &&
		   s->user.ngroups <= INIT_GROUPS_MAX);
	for (int i = 0; i < EXEC_FD_COUNT; i++)
		fuzz_check(fcntl(s->fd[i], F_GETFD) >= 0);
	for (int i = 0; i < 3; i++)
		fuzz_check(s->stdio[i] < 0 || fcntl(s->stdio[i], F_GETFD) >= 0);
	for (unsigned i = 0; i < s->ngroups; i++)
		fuzz_check(fcntl(s->groups[i], F_GETFD) >= 0);
	if (!*s->argv)
		return err_set(e, -ENOENT, "argv: not this one");
	if (s->tty && !n->token && !n->ended) {
		n->token = token;
		return 0;
	}
	session_say(n, s->id, token, true);
	return 0;
}

static int session_input(void *self, uint64_t id, const void *data, size_t len, uint64_t token,
			 struct err *e)
{
	struct null_engine *n = self;

	if (len && memchr(data, 0, len))
		return err_set(e, -EBUSY, "stdin: not this");
	n->host->exec->answer(n->host, token, 0, NULL);
	return 0;
}

static int session_signal(void *self, uint64_t id, int signo, struct err *e)
{
	fuzz_check(signo > 0 && signo < 65);
	session_say(self, id, 0, false);
	return 0;
}

/* One that was being started may run only when another daemon listens: not its start, then. */
static void session_list(void *self)
{
	struct null_engine *n = self;

	session_say(n, 1, n->token, true);
	n->token = 0;
}

static const struct exec_ops null_sessions = { session_start, session_input, session_signal,
					       session_list };

static size_t null_input(void *self, const void *data, size_t len)
{
	struct null_engine *n = self;

	console_output(n->host->console, data, len);
	return len;
}

static void null_free(void *self)
{
	struct null_engine *n = self;

	event_free(n->end);
	free(n);
}

static const struct engine null_engine = {
	.name = "null",
	.start = null_start,
	.pid = null_pid,
	.stop = null_verb,
	.kill = null_kill,
	.pause = null_verb,
	.resume = null_verb,
	.signal = null_signal,
	.configure = null_configure,
	.input = null_input,
	.exec = &null_sessions,
	.free = null_free,
};

static const struct engine *engine_of(enum machine_kind kind)
{
	fuzz_check(kind == KIND_VM || kind == KIND_CONTAINER);
	return &null_engine;
}

static int config_decode(enum machine_kind kind, const char *text, size_t len,
			 struct machine_config *ret, struct err *e)
{
	return config_parse(kind, text, len, ret, NULL, e);
}

static const struct monitor_hooks hooks = { engine_of, config_decode, config_free, false };

/* ---- the daemon ---- */

static int page(size_t size)
{
	int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	fuzz_check(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	return fd;
}

static void say_start(int fd, uint32_t seq, const char *body, size_t len)
{
	struct wire_start start = { .name = "web",
				    .kind = KIND_CONTAINER,
				    .nfds = 4,
				    .roles = { { WIRE_ROLE_LOG },
					       { WIRE_ROLE_OLD },
					       { WIRE_ROLE_EXIT },
					       { WIRE_ROLE_COUNTERS } } };
	size_t changes = len ? (unsigned char)body[0] % 8 : 0, used = 1 + 2 * changes;
	int fds[WIRE_FDS_MAX] = { 0 }, n = 4;

	used = used < len ? used : len;
	for (size_t i = 1; i + 1 < used; i += 2)
		((char *)&start)[(unsigned char)body[i] % sizeof(start)] = body[i + 1];
	if (start.gid & 0xff)
		n = (int)(start.gid % 40);
	for (int i = 0; i < n; i++)
		fds[i] = i == 3 ? page(start.uid & 0xff ? (start.uid & 0xff) - 1
							: sizeof(struct engine_page))
				: memfd_create("file", MFD_CLOEXEC);
	start.uid = start.gid = 0; /* a pty is given to them */
	wire_send(fd, WIRE_START, seq, &start, sizeof(start), body + used, len - used, fds, n);
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* The bytes are the number that is told, and a struct wire_fd for each descriptor. */
static void say_groups(int fd, uint32_t seq, const char *body, size_t len)
{
	struct wire_groups w = { .nfds = len ? (unsigned char)body[0] : 0 };
	int fds[WIRE_GROUPS_MAX] = { 0 }, n = 0;

	for (; n < WIRE_GROUPS_MAX && 1 + sizeof(*w.roles) * ((size_t)n + 1) <= len; n++) {
		memcpy(&w.roles[n], body + 1 + sizeof(*w.roles) * (size_t)n, sizeof(*w.roles));
		fds[n] = memfd_create("file", MFD_CLOEXEC);
	}
	wire_send(fd, WIRE_GROUPS, seq, &w, sizeof(w), NULL, 0, fds, n);
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* The first bytes are roles, as many as the first one says; the rest is the document. */
static void say_configure(int fd, uint32_t seq, const char *body, size_t len)
{
	struct wire_configure w = { .tag = seq };
	size_t n = len ? (unsigned char)body[0] % 8 : 0, used = 1 + sizeof(*w.roles) * n;
	int fds[8] = { 0 };

	if (used > len)
		used = n = 0;
	w.nfds = (uint32_t)n;
	if (n)
		memcpy(w.roles, body + 1, used - 1);
	for (size_t i = 0; i < n; i++)
		fds[i] = memfd_create("file", MFD_CLOEXEC);
	wire_send(fd, WIRE_CONFIGURE, seq, &w, sizeof(w), body + used, len - used, fds, (int)n);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* The first bytes say what is there besides texts: descriptors, streams, groups, variables. */
static void say_exec_start(int fd, uint32_t seq, const char *body, size_t len)
{
	unsigned char how[8] = { 0 };
	struct wire_exec w = { .id = seq };
	int fds[16];
	size_t used = len < sizeof(how) ? len : sizeof(how);

	memcpy(how, body, used);
	w.tty = how[1] & 1;
	w.nenv = how[2] & 0x80 ? (uint32_t)how[2] << 24 : how[2];
	w.streams = how[3];
	w.ngroups = how[4] & 0x80 ? (uint32_t)how[4] << 24 : how[4];
	memcpy(w.groups, how + 5, 3);
	for (int i = 0; i < how[0] % 16; i++)
		fds[i] = memfd_create("file", MFD_CLOEXEC);
	wire_send(fd, WIRE_EXEC_START, seq, &w, sizeof(w), body + used, len - used, fds,
		  how[0] % 16);
	for (int i = 0; i < how[0] % 16; i++)
		close(fds[i]);
}

static void say_exec(int fd, unsigned type, uint32_t seq, const char *body, size_t len)
{
	struct wire_exec_signal w = { .id = seq };

	if (type == WIRE_EXEC_INPUT) {
		wire_send(fd, type, seq, &w.id, sizeof(w.id), body, len, NULL, 0);
		return;
	}
	memcpy(&w.signo, body, len < sizeof(w.signo) ? len : sizeof(w.signo));
	wire_send(fd, type, seq, &w, sizeof(w), NULL, 0, NULL, 0);
}

static void say(int fd, unsigned type, uint32_t seq, const char *body, size_t len)
{
	struct wire_verb verb = { .verb = len ? (unsigned char)body[0] : 0,
				  .flags = seq & 1 ? WIRE_VERB_ONE : 0 };

	if (type == WIRE_START) {
		say_start(fd, seq, body, len);
	} else if (type == WIRE_GROUPS) {
		say_groups(fd, seq, body, len);
	} else if (type == WIRE_CONFIGURE) {
		say_configure(fd, seq, body, len);
	} else if (type == WIRE_EXEC_START) {
		say_exec_start(fd, seq, body, len);
	} else if (type == WIRE_EXEC_INPUT || type == WIRE_EXEC_SIGNAL) {
		say_exec(fd, type, seq, body, len);
	} else if (type == WIRE_VERB) {
		memcpy(&verb.arg, body + 1,
		       len > sizeof(verb.arg) ? sizeof(verb.arg) : len - !!len);
		wire_send(fd, WIRE_VERB, seq, &verb, sizeof(verb), NULL, 0, NULL, 0);
	} else {
		wire_send(fd, type, seq, body, len, NULL, 0, NULL, 0);
	}
}

/* What the monitor has said is well formed, and says no answer twice. */
static void hear(int fd, uint32_t asked)
{
	static struct wire_message m;
	bool answered[256] = { false };

	while (wire_recv(fd, WIRE_MONITOR, &m) == 1) {
		bool state = m.header.type == WIRE_STATE, hello = m.header.type == WIRE_HELLO;
		bool session = m.header.type == WIRE_EXEC_STATE;

		/* One that is an answer, too, is so only where that is understood. */
		if (m.header.type == WIRE_REPLY || ((state || hello || session) && m.header.seq)) {
			fuzz_check(m.header.seq < 256 && m.header.seq <= asked &&
				   !answered[m.header.seq] && (!state || m.header.seq & 1));
			answered[m.header.seq] = true;
		}
		if (m.header.type == WIRE_REPLY) {
			struct wire_reply *r = (struct wire_reply *)m.body;

			fuzz_check(r->code ? err_public(-r->code) == -r->code && *r->text
					   : !*r->text);
		}
		wire_message_close(&m);
	}
	close(fd);
}

static int listener_new(struct sockaddr_un *sun, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*sun = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*len = sizeof(*sun);
	fuzz_check(bind(fd, (struct sockaddr *)sun, sizeof(sa_family_t)) == 0 &&
		   getsockname(fd, (struct sockaddr *)sun, len) == 0 && listen(fd, 4) == 0);
	return fd;
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void one(const char *data, size_t len)
{
	/* Numbers of the inputs, whatever those of the protocol are. */
	static const unsigned types[] = { 0,
					  WIRE_START,
					  WIRE_VERB,
					  WIRE_INPUT,
					  WIRE_CONFIGURE,
					  WIRE_EXEC_START,
					  WIRE_EXEC_INPUT,
					  WIRE_EXEC_SIGNAL,
					  WIRE_TYPE_END,
					  WIRE_GROUPS };
	struct sockaddr_un sun;
	socklen_t sun_len;
	int before = next_fd(), listener = listener_new(&sun, &sun_len);
	int fds[CONNECTIONS] = { -1, -1, -1, -1 }, used = 0;
	uint32_t seqs[CONNECTIONS] = { 0 };

	while (len >= 2 || !used) {
		unsigned type = len >= 2 ? types[(unsigned char)data[0] % 10] : 0;
		size_t size = len >= 2 ? (unsigned char)data[1] : 0;

		if ((type == 0 || !used) && used < CONNECTIONS) {
			fds[used] =
				socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			fuzz_check(connect(fds[used++], (struct sockaddr *)&sun, sun_len) == 0);
		}
		if (len < 2)
			break;
		size = size < len - 2 ? size : len - 2;
		if (type && seqs[used - 1] < 255)
			say(fds[used - 1], type, ++seqs[used - 1], data + 2, size);
		data += 2 + size;
		len -= 2 + size;
	}
	for (int i = 0; i < used; i++)
		shutdown(fds[i], SHUT_WR);
	monitor_main(listener, &hooks, NULL);
	for (int i = 0; i < used; i++)
		hear(fds[i], seqs[i]);
	fuzz_check(next_fd() == before);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
