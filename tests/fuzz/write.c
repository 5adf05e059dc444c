/*
 * Texts that clients write, to any file and as any name, while the machine is stopped, running or
 * paused: each is answered once, or parked and can be taken back; a refusal has an errno that
 * clients may see and one line that names the file. The input is a byte for the machine's state,
 * then for each text a byte of the file, one of the length, the text.
 */
#include "fs/front/fuse.h"
#include "tests/fuzz/daemon.h"

#define CLIENTS 64

static struct {
	struct fuzz_request f;
	struct handle *handle;
} clients[CLIENTS];
static unsigned used;

static struct fuzz_request *client(struct object *o, const struct file *file, const char *data,
				   size_t len)
{
	struct fuzz_request *f;

	if (used == CLIENTS)
		return NULL;
	f = &clients[used].f;
	fuzz_request_init(f);
	fuzz_check(node_open((struct node){ o, file }, O_RDWR, (struct caller){ 0, 0 },
			     &clients[used].handle) == 0);
	handle_write(clients[used++].handle, &f->request, data, len, 0);
	return f;
}

static void put(struct object *o, const char *file, const char *text)
{
	client(o, class_file(o->class, file), text, strlen(text));
}

/* A monitor that does what it is told. */
static void peer_serve(struct peer *p)
{
	static const enum wire_run runs[VERB_END] = { [VERB_STOP] = RUN_STOPPING,
						      [VERB_KILL] = RUN_STOPPING,
						      [VERB_PAUSE] = RUN_PAUSED,
						      [VERB_RESUME] = RUN_RUNNING };
	static struct wire_message m;

	while (p->used && peer_accept(p) && wire_recv(p->fd, WIRE_DAEMON, &m) == 1) {
		if (m.header.type == WIRE_START) {
			p->tag = ((struct wire_start *)m.body)->tag;
			peer_say_hello(p, RUN_RUNNING);
		}
		if (m.header.type == WIRE_VERB && runs[((struct wire_verb *)m.body)->verb])
			peer_say_state(p, runs[((struct wire_verb *)m.body)->verb], NULL);
		if (m.header.type != WIRE_INPUT)
			peer_reply(p, m.header.seq, 0);
		wire_message_close(&m);
		fuzz_daemon_turn();
	}
}

static void peers_serve(void)
{
	for (int i = 0; i < PEERS_MAX; i++)
		peer_serve(&fuzz_peers[i]);
	fuzz_daemon_turn();
}

static void check_refusal(struct object *o, const struct file *file, int rc)
{
	struct text text = TEXT_INIT;
	const char *said;
	char wanted[96];

	fuzz_cat(o, "error", &text);
	said = text_str(&text);
	snprintf(wanted, sizeof(wanted), "%s ", err_name(rc));
	fuzz_check(!strncmp(said, wanted, strlen(wanted)) && said[text.len - 1] == '\n');
	/* Of paths, limits and starts the lower layers speak; those that parse name the file. */
	if (rc == -EINVAL && file && !file->attr)
		fuzz_check(!strncmp(said + strlen(wanted), file->name, strlen(file->name)) ||
			   strstr(said, "root") || strstr(said, "init") || strstr(said, "start") ||
			   strstr(said, "boot") || strstr(said, "configuration"));
	text_free(&text);
}

static struct object *machine_make(unsigned state)
{
	struct node n;
	struct err e = { 0 };

	fuzz_check(fuzz_daemon_start(&e) == 0);
	fuzz_check(node_mkdir(node_of(fuzz_daemon->machines[KIND_CONTAINER]), "c",
			      (struct caller){ 0, 0 }, 0755, &n) == 0);
	if (!state)
		return n.object;
	put(n.object, "root", "/");
	put(n.object, "seccomp", "none");
	put(n.object, "ctl", state == 1 ? "start\n" : "start\npause\n");
	peers_serve();
	return n.object;
}

static void write_name(struct object *dir, const char *data, size_t len, bool rename)
{
	char name[256];
	struct node n;
	int rc;

	if (len > 255 || memchr(data, '\0', len) || memchr(data, '/', len) || !len)
		return; /* the kernel lets none of these through */
	memcpy(name, data, len);
	name[len] = '\0';
	rc = rename ? node_rename(node_of(dir), "c", node_of(dir), name)
		    : node_mkdir(node_of(dir), name, (struct caller){ 0, 0 }, 0755, &n);
	fuzz_check(rc == -EEXIST || rc == -ENOENT || rc == -EBUSY ||
		   object_name_valid(name) == (rc == 0));
	if (rc < 0 && rc != -ENOENT)
		check_refusal(fuzz_daemon->root, NULL, rc);
}

static void write_one(struct object *o, unsigned which, const char *data, size_t len)
{
	const struct class *class = which == 255 ? fuzz_daemon->root->class : o->class;
	const struct file *file =
		which == 255 ? class_file(class, "ctl") : &class->files[which % class->nfiles];
	struct object *of = which == 255 ? fuzz_daemon->root : o;
	struct fuzz_request *f;

	if (which >= 250 && which < 255) {
		write_name(o->parent, data, len, which & 1);
		return;
	}
	/* A monitor on a thread cannot be played. */
	if (!file->write || (file->attr && !strcmp(file->name, "isolation")) ||
	    memmem(data, len, "thread", 6))
		return;
	f = client(of, file, data, len);
	if (!f)
		return;
	fuzz_check(f->answers || f->request.cancel);
	if (f->answers && f->result < 0)
		check_refusal(of, file, f->result);
	fuzz_check(!f->answers || f->result <= (int)len);
	peers_serve();
}

static void clients_close(void)
{
	for (unsigned i = 0; i < used; i++) {
		fuzz_interrupt(&clients[i].f);
		fuzz_check(clients[i].f.answers == 1);
		handle_close(clients[i].handle);
	}
	used = 0;
}

static void one(const char *data, size_t len)
{
	struct object *o;

	if (!len)
		return;
	o = machine_make((unsigned char)data[0] % 3);
	for (data++, len--; len >= 2;) {
		size_t size = (unsigned char)data[1];

		size = size < len - 2 ? size : len - 2;
		write_one(o, (unsigned char)data[0], data + 2, size);
		data += 2 + size;
		len -= 2 + size;
	}
	clients_close();
	fuzz_check(fuzz_daemon->stats.parked == 0);
	fuzz_daemon_stop(NULL, 0);
	fuzz_sweep();
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, one);
}
