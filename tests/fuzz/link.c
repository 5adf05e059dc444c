/*
 * A hostile monitor: whatever it says, in whatever order, the daemon answers each client once, with
 * an errno that clients may see, and its machine comes to rest when the monitor has gone. The input
 * is a list of messages, each with a byte that says which, one of its length, and its body: see
 * act().
 */
#include "fs/front/fuse.h"
#include "tests/fuzz/daemon.h"

#define CLIENTS 16

static struct {
	struct fuzz_request f;
	struct handle *handle;
} clients[CLIENTS];

static struct object *machine, *session;

static struct fuzz_request *client_of(struct object *o, const char *file, const char *text)
{
	struct node n;

	for (int i = 0; i < CLIENTS; i++) {
		if (clients[i].handle)
			continue;
		fuzz_request_init(&clients[i].f);
		fuzz_check(node_lookup(node_of(o), file, (struct caller){ 0 }, &n) == 0);
		fuzz_check(node_open(n, O_RDWR, (struct caller){ 0, 0 }, &clients[i].handle) == 0);
		handle_write(clients[i].handle, &clients[i].f.request, text, strlen(text), 0);
		return &clients[i].f;
	}
	return NULL;
}

static struct fuzz_request *client(const char *file, const char *text)
{
	return client_of(machine, file, text);
}

static void clients_close(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (clients[i].handle && clients[i].f.answers) {
			handle_close(clients[i].handle);
			clients[i].handle = NULL;
		}
}

static void machine_make(void)
{
	struct node n;
	struct err e = { 0 };

	fuzz_check(fuzz_daemon_start(&e) == 0);
	fuzz_check(node_mkdir(node_of(fuzz_daemon->machines[KIND_CONTAINER]), "c",
			      (struct caller){ 0, 0 }, 0755, &n) == 0);
	machine = n.object;
	fuzz_check(client("root", "/")->result == 1);
	fuzz_check(client("seccomp", "none")->result == 4);
	fuzz_check(node_mkdir(node_of(object_child(machine, "exec")), "s", (struct caller){ 0, 0 },
			      0755, &n) == 0);
	session = n.object;
	fuzz_check(client_of(session, "argv", "cat")->result == 3);
	fuzz_check(client("ctl", "start\n")->answers == 0);
	clients_close();
}

static int memory_page(void)
{
	int fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (ftruncate(fd, sizeof(struct engine_page)) < 0)
		return -1;
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	return fd;
}

/* A message as it stands in the input, but for what makes it one at all. */
static void peer_say(struct peer *p, unsigned type, const char *body, size_t len)
{
	static _Alignas(8) char padded[sizeof(struct wire_reply)]; // the largest
	static const size_t sizes[] = { [WIRE_HELLO] = sizeof(struct wire_hello),
					[WIRE_REPLY] = sizeof(struct wire_reply),
					[WIRE_STATE] = sizeof(struct wire_state),
					[WIRE_GREW] = 0,
					[WIRE_NOTICE] = sizeof(struct wire_notice),
					[WIRE_EXEC_STATE] = sizeof(struct wire_exec_state),
					[WIRE_EXEC_GREW] = sizeof(struct wire_exec_grew),
					[WIRE_AGAIN] = 0 };
	size_t known = type < sizeof(sizes) / sizeof(sizes[0]) ? sizes[type] : 0;
	bool empty = type == WIRE_GREW || type == WIRE_AGAIN;
	size_t size = known || empty ? known : len;
	size_t at = type == WIRE_STATE ? offsetof(struct wire_state, pid) : 0;
	bool answers = type == WIRE_REPLY || type == WIRE_STATE;
	uint32_t seq = answers && len > at ? (unsigned char)body[at] : 0;
	int fd = -1;

	memset(padded, 0, sizeof(padded));
	memcpy(padded, body, len < size ? len : size);
	/* One of two sessions, or one that there is not. */
	if ((type == WIRE_EXEC_STATE || type == WIRE_EXEC_GREW) && len && body[0] & 1)
		((struct wire_exec_id *)padded)->id = session->id;
	if (type == WIRE_HELLO && ((struct wire_hello *)padded)->has_counters & 1)
		fd = memory_page();
	if (type == WIRE_HELLO)
		((struct wire_hello *)padded)->has_counters = fd >= 0;
	wire_send(p->fd, type, seq, padded, size, NULL, 0, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
}

/* Numbers of the inputs, whatever those of the protocol are. */
static void act(struct peer *p, unsigned which, const char *body, size_t len)
{
	static const unsigned types[] = {
		[1] = WIRE_START,      [2] = WIRE_VERB,	     [3] = WIRE_INPUT,
		[4] = WIRE_HELLO,      [5] = WIRE_REPLY,     [6] = WIRE_STATE,
		[7] = WIRE_GREW,       [8] = WIRE_NOTICE,    [12] = WIRE_EXEC_STATE,
		[13] = WIRE_EXEC_GREW, [14] = WIRE_TYPE_END, [18] = WIRE_AGAIN
	};
	static const char *const commands[] = { "start\n", "kill\n", "signal HUP\n", "eof\n",
						"signal 1\neof\n" };
	static const char *const verbs[] = { "kill\n",	 "pause\n",	     "stop 1\n",
					     "resume\n", "signal 9\nkill\n", "start\n" };
	static const char *const waits[] = { "stopped\n", "running\n", "failed\n", "paused 0\n" };
	unsigned choice = len ? (unsigned char)body[0] : 0;

	if (which == 9)
		client("ctl", verbs[choice % 6]);
	else if (which == 10)
		client("wait", waits[choice % 4]);
	else if (which == 11)
		fuzz_interrupt(&clients[choice % CLIENTS].f);
	else if (which == 15)
		client_of(session, "ctl", commands[choice % 5]);
	else if (which == 16)
		client_of(session, "wait", waits[choice % 3]);
	else if (which == 17)
		client_of(session, "stdin", "typed");
	else if (p && which == 0) {
		close(p->fd);
		p->fd = -1;
	} else if (p && peer_accept(p))
		peer_say(p, types[which], body, len);
}

static void one(const char *data, size_t len)
{
	static const char *const said[] = { "state", "pid", "exit", "error", "events", "stat" };
	static const char *const told[] = { "state", "pid", "exit", "ctl", "stdout" };
	struct text text = TEXT_INIT;
	struct peer *p;
	struct handle **handles[CLIENTS];
	struct node tty;

	machine_make();
	while (len >= 2) {
		unsigned type = (unsigned char)data[0] % 19, size = (unsigned char)data[1];

		size = size < len - 2 ? size : (unsigned)(len - 2);
		act(peer_find("container/c"), type, data + 2, size);
		data += 2 + size;
		len -= 2 + size;
		fuzz_daemon_turn();
		for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
			fuzz_check(fuzz_cat(machine, said[i], &text));
		for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
			fuzz_check(fuzz_cat(session, told[i], &text));
		fuzz_check(node_lookup(node_of(machine), "tty", (struct caller){ 0 }, &tty) == 0);
		text_clear(&text);
		fuzz_check(node_readlink(tty, &text) == 0 &&
			   (!strncmp(text_str(&text), "/dev/pts/", 9) ||
			    !strcmp(text_str(&text), "nowhere")));
		clients_close();
	}
	while ((p = peer_find("container/c"))) {
		peer_free(p);
		fuzz_daemon_turn();
	}
	fuzz_cat(machine, "state", &text);
	fuzz_check(!strcmp(text_str(&text), "stopped\n") || !strcmp(text_str(&text), "failed\n"));
	fuzz_cat(session, "state", &text);
	fuzz_check(!strcmp(text_str(&text), "stopped\n") || !strcmp(text_str(&text), "failed\n"));
	/* Only who waits for a state that another start may bring waits on. */
	clients_close();
	for (int i = 0; i < CLIENTS; i++)
		fuzz_check(!clients[i].handle || !strcmp(clients[i].handle->file->name, "wait"));
	for (int i = 0; i < CLIENTS; i++)
		handles[i] = &clients[i].handle;
	fuzz_daemon_stop(handles, CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		fuzz_check(clients[i].f.answers == 1 || !clients[i].f.request.answer);
	memset(clients, 0, sizeof(clients));
	text_free(&text);
	fuzz_sweep();
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
