/*
 * Unit test of virtio-vsock on a memory image: connections begun by either side, bytes both ways,
 * credit, ends of all sorts, what no driver may do, and that a load resets the connections.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/harness_virtio.h"
#include "vmm/virtio/virtio_vsock.h"

#define CID   42
#define RX(i) (HARNESS_BUFFERS + (uint64_t)(i)*0x2000)
#define TX    (HARNESS_BUFFERS + 0x800000)
#define HDR   sizeof(struct virtio_vsock_hdr)

enum { QRX, QTX, QEVENT };

struct fix {
	struct harness h;
	char dir[64];
	_Atomic uint64_t counters[VIRTIO_VSOCK_COUNTERS];
	unsigned offered;
	uint32_t fwd, alloc;
	const unsigned char *got; /* the last packet */
};

static void offer(struct fix *f, unsigned n)
{
	while (n--) {
		struct harness_buffer b = { RX(f->offered++ % 32), 4096, true };

		harness_offer(&f->h, QRX, &b, 1);
	}
	harness_kick(&f->h, QRX);
}

static void make(struct fix *f, const char *dir)
{
	struct virtio_env env;
	struct virtio_vsock_spec spec = { .cid = CID, .counters = f->counters };
	struct err e = { 0 };

	memset(f, 0, sizeof(*f));
	f->alloc = 65536;
	harness_init(&f->h);
	env = harness_env(&f->h);
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
	spec.dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (virtio_vsock_new(&env, "vsock", &spec, &f->h.device, &e) < 0) {
		printf("# %s\n", e.text);
		abort();
	}
}

static void start(struct fix *f)
{
	harness_start(&f->h, f->h.device, 0);
	offer(f, 16);
}

/* A packet of the guest's. */
static void guest(struct fix *f, uint16_t op, uint32_t guest_port, uint32_t host_port,
		  uint32_t flags, const void *data, uint32_t len)
{
	struct virtio_vsock_hdr h = {
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.len = len,
		.type = 1,
		.op = op,
		.flags = flags,
		.buf_alloc = f->alloc,
		.fwd_cnt = f->fwd,
	};
	struct harness_buffer b[2] = { { TX, HDR, false }, { TX + 4096, len, false } };

	memcpy(harness_at(&f->h, TX, HDR), &h, HDR);
	if (len)
		memcpy(harness_at(&f->h, TX + 4096, len), data, len);
	harness_offer(&f->h, QTX, b, len ? 2 : 1);
	harness_kick(&f->h, QTX);
	harness_take(&f->h, QTX, NULL);
	harness_turn(&f->h);
}

/* The next packet for the guest; NULL: none. */
static const struct virtio_vsock_hdr *next(struct fix *f)
{
	static struct virtio_vsock_hdr h;
	uint16_t head;

	harness_turn(&f->h);
	if (harness_take(&f->h, QRX, &head) < 0)
		return NULL;
	f->got = harness_at(
		&f->h,
		((struct vring_desc *)harness_at(&f->h, f->h.queue[QRX].base, 4096))[head].addr,
		4096);
	memcpy(&h, f->got, HDR);
	f->got += HDR;
	offer(f, 1);
	return &h;
}

static bool says(struct fix *f, uint16_t op, uint32_t host_port, uint32_t guest_port)
{
	const struct virtio_vsock_hdr *h = next(f);

	if (h && h->op == op && h->src_port == host_port && h->dst_port == guest_port &&
	    h->src_cid == 2 && h->dst_cid == CID && h->type == 1)
		return true;
	if (h)
		printf("# op %u, %u to %u\n", h->op, h->src_port, h->dst_port);
	return false;
}

static struct sockaddr_un address(struct fix *f, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", f->dir, name);
	return a;
}

static int listen_at(struct fix *f, const char *name)
{
	struct sockaddr_un a = address(f, name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 8) < 0)
		abort();
	return fd;
}

static int dial(struct fix *f, const char *greeting)
{
	struct sockaddr_un a = address(f, "vsock");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		abort();
	if (write(fd, greeting, strlen(greeting)) < 0)
		abort();
	for (int i = 0; i < 4; i++)
		harness_turn(&f->h);
	return fd;
}

static bool reads(int fd, const char *want)
{
	char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	text[n < 0 ? 0 : n] = '\0';
	return n >= 0 && !strcmp(text, want);
}

static void test_from_guest(struct fix *f)
{
	int listener = listen_at(f, "vsock_1234"), fd;

	guest(f, VIRTIO_VSOCK_OP_REQUEST, 5000, 1234, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RESPONSE, 1234, 5000), "the guest connects to a listener");
	fd = accept(listener, NULL, NULL);
	guest(f, VIRTIO_VSOCK_OP_RW, 5000, 1234, 0, "hello\n", 6);
	ok(reads(fd, "hello\n"), "it sends");
	ok(write(fd, "answer\n", 7) == 7 && says(f, VIRTIO_VSOCK_OP_RW, 1234, 5000) &&
		   !memcmp(f->got, "answer\n", 7),
	   "it is answered");
	guest(f, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, 1234, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	ok(reads(fd, "") && write(fd, "more", 4) == 4 && says(f, VIRTIO_VSOCK_OP_RW, 1234, 5000),
	   "its half closed, the other half goes on");
	guest(f, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, 1234, 3, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RST, 1234, 5000) && reads(fd, ""), "closed whole");
	close(fd);
	guest(f, VIRTIO_VSOCK_OP_REQUEST, 5001, 1234, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RESPONSE, 1234, 5001), "again");
	fd = accept(listener, NULL, NULL);
	close(fd);
	ok(says(f, VIRTIO_VSOCK_OP_SHUTDOWN, 1234, 5001), "the host closes");
	guest(f, VIRTIO_VSOCK_OP_RST, 5001, 1234, 0, NULL, 0);
	close(listener);
	guest(f, VIRTIO_VSOCK_OP_REQUEST, 5002, 1234, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RST, 1234, 5002), "nobody listens: refused");
	guest(f, VIRTIO_VSOCK_OP_REQUEST, 5002, 99, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RST, 99, 5002), "no such socket: refused");
}

static void test_from_host(struct fix *f)
{
	int fd = dial(f, "CONNECT 80\nearly");
	const struct virtio_vsock_hdr *h = next(f);
	uint32_t port = h ? h->src_port : 0;
	char want[40];

	ok(h && h->op == VIRTIO_VSOCK_OP_REQUEST && h->dst_port == 80, "a client asks for a port");
	guest(f, VIRTIO_VSOCK_OP_RESPONSE, 80, port, 0, NULL, 0);
	snprintf(want, sizeof(want), "OK %u\n", port);
	ok(reads(fd, want), "the guest accepts");
	ok(says(f, VIRTIO_VSOCK_OP_RW, port, 80) && !memcmp(f->got, "early", 5),
	   "what it said early arrives");
	guest(f, VIRTIO_VSOCK_OP_RW, 80, port, 0, "x", 1);
	ok(reads(fd, "x"), "and is answered");
	guest(f, VIRTIO_VSOCK_OP_RST, 80, port, 0, NULL, 0);
	ok(reads(fd, ""), "the guest breaks it off");
	close(fd);
	fd = dial(f, "CONNECT 81\n");
	h = next(f);
	guest(f, VIRTIO_VSOCK_OP_RST, 81, h ? h->src_port : 0, 0, NULL, 0);
	ok(reads(fd, ""), "refused by the guest");
	close(fd);
	static const char *const bad[] = {
		"CONNECT \n",		"CONNECT x\n",
		"connect 80\n",		"CONNECT 80x\n",
		"CONNECT 4294967295\n", "CONNECT 0000000000000000000000000000000080\n"
	};
	bool good = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = dial(f, bad[i]);
		/* Closed with bytes unread, a socket says so. */
		char c;
		ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT);

		good = good && (n == 0 || (n < 0 && errno == ECONNRESET)) && !next(f);
		close(fd);
	}
	ok(good, "other greetings are hung up on");
	fd = dial(f, "CONN");
	ok(write(fd, "ECT 82\n", 7) == 7 && (h = next(f)) && h->dst_port == 82,
	   "one in two pieces is as good");
	close(fd);
	guest(f, VIRTIO_VSOCK_OP_RST, 82, h ? h->src_port : 0, 0, NULL, 0);
}

static void test_credit(struct fix *f)
{
	static char block[4096], all[200000];
	int listener = listen_at(f, "vsock_7"), fd;
	const struct virtio_vsock_hdr *h;
	size_t total = 0;
	unsigned sent = 0, updates = 0;

	f->alloc = 10000;
	f->fwd = 0;
	guest(f, VIRTIO_VSOCK_OP_REQUEST, 1, 7, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RESPONSE, 7, 1), "credit: connected");
	fd = accept(listener, NULL, NULL);
	ok(write(fd, all, 50000) == 50000, "credit: more than the guest has room for");
	while ((h = next(f)))
		total += h->len;
	ok(total == 10000, "credit: it gets what it has room for: %zu", total);
	f->fwd = 10000;
	guest(f, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 7, 0, NULL, 0);
	while ((h = next(f)))
		total += h->len;
	ok(total == 20000, "credit: and the rest as it makes room");
	f->alloc = 1u << 20;
	guest(f, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 1, 7, 0, NULL, 0);
	while ((h = next(f)))
		total += h->len;
	ok(total == 50000, "credit: to the last byte");

	/* The other way: the host does not read, the guest keeps to its credit. */
	int size = 4096;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (; sent < 32; sent++) {
		memset(block, 'a' + (int)(sent % 26), sizeof(block));
		guest(f, VIRTIO_VSOCK_OP_RW, 1, 7, 0, block, sizeof(block));
	}
	ok(!f->h.resets_needed, "credit: 128 KiB that nobody reads yet");
	for (total = 0; total < 32 * sizeof(block);) {
		ssize_t n = recv(fd, all + total, sizeof(all) - total, MSG_DONTWAIT);

		if (n > 0)
			total += (size_t)n;
		else if (n == 0)
			break;
		harness_turn(&f->h);
		while ((h = next(f)))
			updates += h->op == VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	}
	bool good = total == 32 * sizeof(block);

	for (size_t i = 0; i < total; i++)
		good = good && all[i] == 'a' + (int)(i / sizeof(block) % 26);
	ok(good && updates > 0, "credit: read at last, in order, and the guest is told of room");
	for (sent = 0; sent < 200; sent++) {
		memset(block, 'b', sizeof(block));
		guest(f, VIRTIO_VSOCK_OP_RW, 1, 7, 0, block, sizeof(block));
	}
	good = false;
	while ((h = next(f)))
		good = good || (h->op == VIRTIO_VSOCK_OP_RST && h->src_port == 7);
	ok(good, "credit: who does not keep to it is cut off");
	close(fd);
	close(listener);
	while (next(f))
		;
	f->fwd = 0;
}

static void test_hostile(struct fix *f)
{
	struct harness_buffer tiny = { TX, 10, false }, wrong = { RX(0), 100, false };
	int listener = listen_at(f, "vsock_9");
	unsigned answers = 0;

	harness_offer(&f->h, QTX, &tiny, 1);
	harness_kick(&f->h, QTX);
	ok(harness_take(&f->h, QTX, NULL) == 0 && !next(f), "hostile: half a header is ignored");
	guest(f, 77, 1, 9, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RST, 9, 1), "hostile: an unknown operation");
	guest(f, VIRTIO_VSOCK_OP_REQUEST, 1, 9, 0, NULL, 0);
	guest(f, VIRTIO_VSOCK_OP_REQUEST, 1, 9, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RST, 9, 1) || says(f, VIRTIO_VSOCK_OP_RST, 9, 1),
	   "hostile: the same twice");
	while (next(f))
		;
	guest(f, VIRTIO_VSOCK_OP_RESPONSE, 1, 9, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RST, 9, 1), "hostile: an answer to no question");
	for (unsigned i = 0; i < 1000; i++) {
		guest(f, VIRTIO_VSOCK_OP_RW, 10000 + i, 9, 0, "x", 1);
		answers += says(f, VIRTIO_VSOCK_OP_RST, 9, 10000 + i);
	}
	/* While the guest does not read what it is told, nothing more is taken from it. */
	for (unsigned i = 0; i < 120; i++) {
		struct harness_queue *q = &f->h.queue[QTX];
		struct vring_used *used = harness_at(&f->h, q->base + 0x2000, 0x1000);

		q->taken = used->idx;
		if ((uint16_t)(q->avail - used->idx) < HARNESS_QUEUE_SIZE / 2)
			guest(f, VIRTIO_VSOCK_OP_RW, 20000 + i, 9, 0, "x", 1);
	}
	while (next(f))
		answers++;
	ok(answers > 1060 && !f->h.resets_needed, "hostile: a thousand strays: %u refused",
	   answers);
	harness_offer(&f->h, QRX, &wrong, 1);
	f->h.queue[QRX].taken = 0;
	close(listener);
	virtio_stop(f->h.device);
	virtio_reset(f->h.device);
	harness_start(&f->h, f->h.device, 0);
	harness_offer(&f->h, QRX, &wrong, 1);
	harness_kick(&f->h, QRX);
	ok(f->h.resets_needed == 1 && strstr(f->h.failed, "vsock: queue 0"), "hostile: %s",
	   f->h.failed);
	virtio_reset(f->h.device);
	f->offered = 0;
	start(f);
}

static void test_load(struct fix *f)
{
	struct record r = { 0 };
	struct harness_buffer event = { RX(40), 8, true };
	int listener = listen_at(f, "vsock_8"), fd;

	guest(f, VIRTIO_VSOCK_OP_REQUEST, 1, 8, 0, NULL, 0);
	ok(says(f, VIRTIO_VSOCK_OP_RESPONSE, 8, 1), "load: a connection");
	fd = accept(listener, NULL, NULL);
	virtio_stop(f->h.device);
	f->h.device->ops->save(f->h.device, &r);
	ok(f->h.device->ops->load(f->h.device, &r, NULL) == 0 && record_done(&r) && reads(fd, ""),
	   "load: it ends");
	harness_go_on(&f->h);
	harness_offer(&f->h, QEVENT, &event, 1);
	harness_kick(&f->h, QEVENT);
	ok(harness_take(&f->h, QEVENT, NULL) == 4 &&
		   *(uint32_t *)harness_at(&f->h, RX(40), 4) == VIRTIO_VSOCK_EVENT_TRANSPORT_RESET,
	   "load: and the guest is told");
	r.data[0] = 9;
	r.at = 0;
	ok(f->h.device->ops->load(f->h.device, &r, NULL) == -EINVAL,
	   "load: another version is refused");
	close(fd);
	close(listener);
}

int main(void)
{
	char dir[] = "/tmp/vsock-test.XXXXXX", command[64];
	struct fix f;
	uint64_t cid;

	if (!mkdtemp(dir))
		return 1;
	make(&f, dir);
	f.h.device->ops->config_read(f.h.device, 0, &cid, 8);
	ok(cid == CID, "the guest's own number");
	start(&f);
	test_from_guest(&f);
	test_from_host(&f);
	test_credit(&f);
	test_hostile(&f);
	test_load(&f);
	harness_free(&f.h);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) || tap_done();
}
