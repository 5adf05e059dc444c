/*
 * virtio-vsock between a hostile guest and hostile clients of its host: packets of any kind, credit
 * and ports, buffers that are too small or none, sockets that talk nonsense or hang up, saved
 * states in between. Nothing is left of it: not a descriptor, and a good driver finds a good
 * device.
 */
#include <limits.h>
#include <linux/virtio_vsock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/fuzz/saved.h"
#include "tests/unit/harness_virtio_pci.h"
#include "vmm/virtio/virtio_vsock.h"

#define CID   42
#define PEERS 6

struct world {
	struct rig rig;
	struct driver d;
	struct pci_function *f;
	int listener;
	int peer[PEERS]; /* clients, and what the listener has accepted; -1: none */
	unsigned offered;
};

static char place[300]; // the device's directory
static int home = -1;	// where this program was: the device makes its directory the current one

static int next_fd(void)
{
	int fd = dup(home);

	close(fd);
	return fd;
}

static int unix_socket(const char *name, bool listens)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", name);
	if (listens)
		fuzz_check((unlink(name) == 0 || errno == ENOENT) &&
			   bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0);
	else if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- the guest ---- */

static void packet(struct world *w, struct script *s)
{
	static const uint32_t ports[] = { 1, 2, 3, 80, 1u << 30, (1u << 30) + 1, UINT32_MAX, 0 };
	unsigned how = take(s), which = take(s);
	struct virtio_vsock_hdr h = {
		.src_cid = how & 0x80 ? take(s) : CID,
		.dst_cid = VSOCK_CID_HOST,
		.src_port = ports[which % 8],
		.dst_port = ports[which / 8 % 8],
		.type = how & 0x40 ? (uint16_t)take(s) : VIRTIO_VSOCK_TYPE_STREAM,
		.op = (uint16_t)(how % 10),
		.flags = (which >> 6) & 3,
		.buf_alloc = 65536,
	};
	uint32_t len = (uint32_t)take_n(s, 2) % 9000;

	if (!w->d.q[1].size)
		return;
	h.len = how & 0x20 ? (uint32_t)take_n(s, 4) : len;
	if (how & 0x10) {
		h.buf_alloc = (uint32_t)take_n(s, 2);
		h.fwd_cnt = (uint32_t)take_n(s, 4);
	}
	guestmem_write(&w->rig.mem, RIG_DATA, &h, sizeof(h));
	put_desc(&w->d, 1, 0, RIG_DATA, sizeof(h), len ? VRING_DESC_F_NEXT : 0, 1);
	put_desc(&w->d, 1, 1, RIG_DATA + 0x1000, len, 0, 0);
	driver_offer(&w->d, 1, 0);
	driver_kick(&w->d, 1);
}

/* Room for what the host says. */
static void room(struct world *w, struct script *s)
{
	static const uint32_t lens[] = { 4096, 44, 45, 64, 0x1000000, 43, 0, 9000 };
	unsigned how = take(s);

	for (unsigned n = how >> 4; w->d.q[0].size && n--; w->offered++) {
		put_desc(&w->d, 0, w->offered % 16, RIG_DATA + 0x4000 * (1 + w->offered % 8),
			 lens[how % 8], how & 8 ? 0 : VRING_DESC_F_WRITE, 0);
		driver_offer(&w->d, 0, (uint16_t)(w->offered % 16));
	}
	driver_kick(&w->d, 0);
}

static void describe(struct world *w, struct script *s)
{
	unsigned q = take(s) % 3, i = take(s) % 17, at = take(s);
	uint32_t len = (uint32_t)take_n(s, 2);
	uint16_t flags = (uint16_t)(take(s) % 8), next = (uint16_t)(take(s) % 20);

	if (!w->d.q[q].size)
		return;
	put_desc(&w->d, q, i, at == 255 ? UINT64_MAX - 8 : RIG_DATA + at * 16, len, flags, next);
	driver_offer(&w->d, q, (uint16_t)i);
	driver_kick(&w->d, q);
}

/* ---- the host's clients ---- */

static void dial(struct world *w, struct script *s)
{
	static const char *const greetings[] = { "CONNECT 1\n",	 "CONNECT 80\n",	"CONNECT ",
						 "CONNECT 2\nx", "GET / HTTP\n",	"",
						 "connect 1\n",	 "CONNECT 4294967295\n" };
	unsigned how = take(s), i = how % PEERS;
	const char *text = greetings[how / PEERS % 8];

	if (w->peer[i] >= 0)
		return;
	w->peer[i] = unix_socket("vsock", false);
	if (w->peer[i] >= 0)
		(void)!send(w->peer[i], text, strlen(text), MSG_NOSIGNAL);
}

static void peer(struct world *w, struct script *s)
{
	static const char bytes[9000] = "CONNECT 7\n";
	static char into[9000];
	unsigned how = take(s);
	int *fd = &w->peer[how % PEERS];
	size_t len = (size_t)take_n(s, 2) % sizeof(bytes);

	switch (how / PEERS % 5) {
	case 0:
		(void)!send(*fd, bytes, len, MSG_NOSIGNAL);
		break;
	case 1:
		(void)!recv(*fd, into, len, 0);
		break;
	case 2:
		shutdown(*fd, len % 3);
		break;
	case 3:
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		break;
	case 4:
		if (*fd < 0)
			*fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		break;
	}
}

/* ---- the machine ---- */

static void still(struct world *w, struct script *s, bool loads)
{
	fuzz_check(w->f->device.ops->pause(&w->f->device, NULL) == 0);
	if (loads)
		saved_reload(&w->f->device, s);
	else
		rig_step(&w->rig);
	w->f->device.ops->resume(&w->f->device);
}

static void run(struct world *w, struct script *s)
{
	while (s->p < s->end) {
		switch (take(s) % 9) {
		case 0:
			packet(w, s);
			break;
		case 1:
			room(w, s);
			break;
		case 2:
			dial(w, s);
			break;
		case 3:
			peer(w, s);
			break;
		case 4:
			describe(w, s);
			break;
		case 5:
			rig_step(&w->rig);
			break;
		case 6:
			still(w, s, true);
			break;
		case 7:
			still(w, s, false);
			break;
		case 8:
			driver_set_status(&w->d, 0);
			rig_step(&w->rig);
			driver_start(&w->d, &w->rig, 1, 3, take(s) & 1 ? VIRTIO_EVENT_IDX : 0);
			break;
		}
	}
}

static void one(const char *data, size_t len)
{
	struct script s = { (const unsigned char *)data, (const unsigned char *)data + len };
	static struct world w;
	struct virtio_device *d;
	struct virtio_vsock_spec spec = { .cid = CID };
	int before = next_fd();

	memset(&w, 0, sizeof(w));
	memset(w.peer, -1, sizeof(w.peer));
	rig_new(&w.rig);
	spec.dir = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fuzz_check(virtio_vsock_new(&w.rig.env, "vsock", &spec, &d, NULL) == 0);
	w.listener = unix_socket("vsock_1", true);
	w.f = rig_plug(&w.rig, d, 1);
	fuzz_check(driver_start(&w.d, &w.rig, 1, 3, 0));
	run(&w, &s);
	rig_step(&w.rig);
	fuzz_check(w.f->device.ops->pause(&w.f->device, NULL) == 0);
	w.f->device.ops->reset(&w.f->device);
	w.f->device.ops->resume(&w.f->device);
	fuzz_check(driver_start(&w.d, &w.rig, 1, 3, 0));
	rig_unplug(&w.rig, w.f);
	rig_free(&w.rig);
	for (int i = 0; i < PEERS; i++)
		if (w.peer[i] >= 0)
			close(w.peer[i]);
	close(w.listener);
	fuzz_check(fchdir(home) == 0 && next_fd() == before);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TEST_TMP"), *dir = getenv("FUZZ_DIR");
	char path[PATH_MAX];

	/* A failing input is written from wherever the device has led. */
	if (realpath(dir ? dir : ".", path))
		setenv("FUZZ_DIR", path, 1);
	home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(place, sizeof(place), "%s/vsock-%d", tmp ? tmp : "/tmp", (int)getpid());
	fuzz_check(mkdir(place, 0700) == 0);
	int rc = fuzz_main(argc, argv, one);

	snprintf(path, sizeof(path), "%s/vsock", place);
	unlink(path);
	snprintf(path, sizeof(path), "%s/vsock_1", place);
	unlink(path);
	rmdir(place);
	return rc;
}
