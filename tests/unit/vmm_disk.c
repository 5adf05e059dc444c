/* virtio-blk on a raw image, driven as a guest would: what it does, what it refuses, what breaks.
 */
#include "tests/unit/harness_virtio_pci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backends/block/block_io.h"
#include "vmm/virtio/virtio_blk.h"

#define MIB (1u << 20)

struct disk {
	struct rig rig;
	struct driver drv;
	int fd; /* a second descriptor of the image */
	struct virtio_device *dev;
	struct pci_function *f;
	_Atomic uint64_t counters[BLK_COUNTERS];
};

static const struct virtio_blk_options plain = { .id = "disk/t",
						 .serial = "serial-0123456789abcdef",
						 .queues = 2,
						 .rbps = { LIMIT_MAX, 0 },
						 .wbps = { LIMIT_MAX, 0 },
						 .riops = { LIMIT_MAX, 0 },
						 .wiops = { LIMIT_MAX, 0 } };

/* A file that is gone by its name, where the file system has what a disk wants. */
static int image(uint64_t size)
{
	char path[] = "/tmp/vmm_disk.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0 || unlink(path) < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	return fd;
}

static void disk_new(struct disk *d, int fd, enum disk_cache cache, bool readonly,
		     const struct virtio_blk_options *o)
{
	const struct block_options bo = { .cache = cache, .readonly = readonly, .discard = true };
	struct block *b;
	struct err e = { 0 };

	memset(d, 0, sizeof(*d));
	rig_new(&d->rig);
	d->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (block_raw_new(fd, &bo, d->rig.loop, &b, &e) < 0 ||
	    virtio_blk_new(&d->rig.env, b, o, d->counters, &d->dev, &e) < 0) {
		printf("# %s\n", e.text);
		abort();
	}
	d->f = rig_plug(&d->rig, d->dev, 1);
	if (!driver_start(&d->drv, &d->rig, 1, 2, 0))
		abort();
}

static void disk_free(struct disk *d)
{
	rig_unplug(&d->rig, d->f);
	rig_free(&d->rig);
	close(d->fd);
}

/* A request with data out, or room for data; returns its status, or -1 when none came. */
static int request(struct disk *d, unsigned q, uint32_t type, uint64_t sector, const void *out,
		   uint32_t out_len, void *in, uint32_t in_len)
{
	static unsigned char o[MIB], i[MIB];
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	long len;

	memcpy(o, &h, sizeof(h));
	if (out_len)
		memcpy(o + sizeof(h), out, out_len);
	memset(i, 0x77, in_len + 1);
	len = driver_request(&d->drv, q, o, sizeof(h) + out_len, i, in_len + 1);
	if (in_len)
		memcpy(in, i, in_len);
	return len < 1 || len > (long)in_len + 1 ? -1 : i[in_len];
}

static void fill(unsigned char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)rand_r(&seed);
}

static void test_cache(enum disk_cache cache, const char *name)
{
	static unsigned char out[16384], in[16384];
	static unsigned char __attribute__((aligned(4096))) file[16384];
	struct disk d;
	int fd = image(4 * MIB);

	if (cache == DISK_NONE && fcntl(fd, F_SETFL, O_RDWR | O_DIRECT) < 0) {
		ok(true, "%s: # SKIP /tmp has no O_DIRECT", name);
		close(fd);
		return;
	}
	fcntl(fd, F_SETFL, O_RDWR);
	disk_new(&d, fd, cache, false, &plain);
	fill(out, sizeof(out), 1);
	ok(driver_get(&d.drv, d.drv.config, 4) == 4 * MIB / 512, "%s: capacity", name);
	ok(request(&d, 0, VIRTIO_BLK_T_OUT, 8, out, sizeof(out), NULL, 0) == 0, "%s: write", name);
	ok(request(&d, 1, VIRTIO_BLK_T_IN, 8, NULL, 0, in, sizeof(in)) == 0 &&
		   !memcmp(in, out, sizeof(in)),
	   "%s: read by another queue what was written", name);
	ok(request(&d, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL, 0) == 0, "%s: flush", name);
	ok(pread(d.fd, file, sizeof(file), 4096) == sizeof(file) &&
		   !memcmp(file, out, sizeof(file)),
	   "%s: the image has it", name);
	ok(d.counters[BLK_WRITES] == 1 && d.counters[BLK_WRITTEN_BYTES] == sizeof(out) &&
		   d.counters[BLK_READS] == 1 && d.counters[BLK_FLUSHES] == 1 &&
		   d.counters[BLK_ERRORS] == 0,
	   "%s: counted", name);
	// Odd places in memory, which O_DIRECT does not take by itself.
	d.drv.data = RIG_DATA + 3;
	ok(request(&d, 0, VIRTIO_BLK_T_OUT, 100, out + 512, 4096, NULL, 0) == 0 &&
		   request(&d, 0, VIRTIO_BLK_T_IN, 101, NULL, 0, in, 3072) == 0 &&
		   !memcmp(in, out + 1024, 3072),
	   "%s: from and to odd addresses", name);
	disk_free(&d);
}

static bool all_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void test_clear(void)
{
	static unsigned char out[65536], in[65536];
	struct virtio_blk_discard_write_zeroes s = { .sector = 16, .num_sectors = 64 };
	struct stat before, after;
	struct disk d;

	disk_new(&d, image(4 * MIB), DISK_WRITEBACK, false, &plain);
	fill(out, sizeof(out), 2);
	request(&d, 0, VIRTIO_BLK_T_OUT, 0, out, sizeof(out), NULL, 0);
	request(&d, 0, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL, 0);
	fstat(d.fd, &before);
	ok(request(&d, 0, VIRTIO_BLK_T_DISCARD, 0, &s, sizeof(s), NULL, 0) == 0, "discard");
	fstat(d.fd, &after);
	ok(after.st_blocks < before.st_blocks && after.st_size == before.st_size,
	   "discard: gives room back (%ld to %ld blocks)", (long)before.st_blocks,
	   (long)after.st_blocks);
	s.sector = 90;
	s.num_sectors = 5;
	ok(request(&d, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, sizeof(s), NULL, 0) == 0,
	   "write zeroes");
	request(&d, 0, VIRTIO_BLK_T_IN, 0, NULL, 0, in, sizeof(in));
	ok(all_zero(in + 16 * 512, 64 * 512) && all_zero(in + 90 * 512, 5 * 512) &&
		   !memcmp(in, out, 16 * 512) && !memcmp(in + 80 * 512, out + 80 * 512, 10 * 512) &&
		   !memcmp(in + 95 * 512, out + 95 * 512, sizeof(in) - 95 * 512),
	   "both: zero where it was asked, and nowhere else");
	s.flags = 1;
	ok(request(&d, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, sizeof(s), NULL, 0) == 0 &&
		   request(&d, 0, VIRTIO_BLK_T_DISCARD, 0, &s, sizeof(s), NULL, 0) ==
			   VIRTIO_BLK_S_UNSUPP,
	   "write zeroes may unmap; discard knows no flag");
	s = (struct virtio_blk_discard_write_zeroes){ .sector = 8191, .num_sectors = 2 };
	ok(request(&d, 0, VIRTIO_BLK_T_DISCARD, 0, &s, sizeof(s), NULL, 0) == VIRTIO_BLK_S_IOERR,
	   "discard: not beyond the end");
	s = (struct virtio_blk_discard_write_zeroes){ .sector = UINT64_MAX, .num_sectors = 2 };
	ok(request(&d, 0, VIRTIO_BLK_T_WRITE_ZEROES, 0, &s, sizeof(s), NULL, 0) ==
		   VIRTIO_BLK_S_IOERR,
	   "write zeroes: nor around it");
	s = (struct virtio_blk_discard_write_zeroes){ .num_sectors = UINT32_MAX };
	ok(request(&d, 0, VIRTIO_BLK_T_DISCARD, 0, &s, sizeof(s), NULL, 0) == VIRTIO_BLK_S_IOERR &&
		   request(&d, 0, VIRTIO_BLK_T_DISCARD, 0, &s, 3, NULL, 0) == VIRTIO_BLK_S_UNSUPP,
	   "nor more than it says, nor half a segment");
	disk_free(&d);
}

static void test_refusals(void)
{
	static unsigned char bytes[4096];
	char id[20] = "";
	struct disk d;

	disk_new(&d, image(MIB), DISK_WRITEBACK, false, &plain);
	ok(request(&d, 0, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, id, sizeof(id)) == 0 &&
		   !memcmp(id, "serial-0123456789abc", 20),
	   "serial: its first 20 bytes");
	ok(request(&d, 0, VIRTIO_BLK_T_IN, 2047, NULL, 0, bytes, 1024) == VIRTIO_BLK_S_IOERR,
	   "a read across the end is an error");
	ok(request(&d, 0, VIRTIO_BLK_T_IN, UINT64_MAX, NULL, 0, bytes, 512) == VIRTIO_BLK_S_IOERR,
	   "so is one far beyond");
	ok(request(&d, 0, VIRTIO_BLK_T_OUT, 0, bytes, 100, NULL, 0) == VIRTIO_BLK_S_IOERR,
	   "and one of part of a sector");
	ok(request(&d, 0, 99, 0, NULL, 0, NULL, 0) == VIRTIO_BLK_S_UNSUPP, "an unknown request");
	ok(d.counters[BLK_ERRORS] == 3 && d.rig.failures == 0, "errors are counted");
	driver_request(&d.drv, 0, bytes, 15, bytes, 1);
	ok(d.rig.failures == 1 && strstr(d.rig.why, "disk/t: queue 0: a request has no header"),
	   "a request without a header breaks the device: %s", d.rig.why);
	disk_free(&d);

	disk_new(&d, image(MIB), DISK_WRITEBACK, true, &plain);
	ok(request(&d, 0, VIRTIO_BLK_T_OUT, 0, bytes, 512, NULL, 0) == VIRTIO_BLK_S_IOERR &&
		   request(&d, 0, VIRTIO_BLK_T_IN, 0, NULL, 0, bytes, 512) == 0 &&
		   (driver_offered(&d.drv) & 1 << VIRTIO_BLK_F_RO),
	   "read only: says so, and means it");
	disk_free(&d);
}

static void test_size(void)
{
	static unsigned char bytes[4096];
	struct disk d;
	struct err e = { 0 };
	unsigned before;
	struct stat st;

	disk_new(&d, image(MIB), DISK_WRITEBACK, false, &plain);
	before = d.rig.seen[0];
	ok(virtio_blk_resize(d.dev, 2 * MIB, &e) == 0 && fstat(d.fd, &st) == 0 &&
		   st.st_size == 2 * MIB,
	   "resize: the image grows");
	ok(driver_get(&d.drv, d.drv.config, 4) == 4096 && d.rig.seen[0] == before + 1,
	   "resize: the driver is told");
	ok(request(&d, 0, VIRTIO_BLK_T_OUT, 4095, bytes, 512, NULL, 0) == 0,
	   "resize: the new end is there");
	ok(virtio_blk_resize(d.dev, MIB, &e) == 0 && d.rig.seen[0] == before + 1 &&
		   fstat(d.fd, &st) == 0 && st.st_size == 2 * MIB,
	   "resize: never shorter");
	// Somebody else makes it shorter.
	if (ftruncate(d.fd, 1000) < 0)
		abort();
	ok(request(&d, 0, VIRTIO_BLK_T_IN, 2000, NULL, 0, bytes, 512) == VIRTIO_BLK_S_IOERR &&
		   request(&d, 0, VIRTIO_BLK_T_IN, 1, NULL, 0, bytes, 4096) == VIRTIO_BLK_S_IOERR &&
		   request(&d, 0, VIRTIO_BLK_T_IN, 0, NULL, 0, bytes, 512) == 0,
	   "an image that shrinks: errors where it is gone, and no signal");
	ok(d.rig.failures == 0, "and the disk goes on");
	disk_free(&d);
}

/* Writes beyond what the host has room for. */
static void test_host_errors(void)
{
	static unsigned char bytes[4096];
	struct disk d;
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct block *b;
	struct err e = { 0 };
	const struct block_options o = { .cache = DISK_WRITEBACK };
	struct event_base *loop = event_base_new();

	ok(block_raw_new(fd, &o, loop, &b, &e) == -EINVAL, "no character devices: %s", e.text);
	event_base_free(loop);
	// A memory file that is sealed takes no more.
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(fd, MIB) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0)
		abort();
	disk_new(&d, fd, DISK_WRITEBACK, false, &plain);
	ok(request(&d, 0, VIRTIO_BLK_T_OUT, 0, bytes, 4096, NULL, 0) == VIRTIO_BLK_S_IOERR &&
		   request(&d, 0, VIRTIO_BLK_T_IN, 0, NULL, 0, bytes, 4096) == 0 &&
		   d.counters[BLK_ERRORS] == 1,
	   "what the host refuses is the request's error, and counted");
	disk_free(&d);
}

/* How long n reads of 512 bytes take, in ms. */
static uint64_t time_reads(struct disk *d, int n)
{
	static unsigned char bytes[512];
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < n; i++)
		if (request(d, (unsigned)i % 2, VIRTIO_BLK_T_IN, 0, NULL, 0, bytes, 512) != 0)
			return 0;
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (uint64_t)((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
}

static void test_limits(void)
{
	struct virtio_blk_options o = plain;
	struct disk d;
	uint64_t ms;

	o.riops = (struct rate){ 100, 1 };
	disk_new(&d, image(MIB), DISK_WRITEBACK, false, &o);
	ms = time_reads(&d, 21);
	ok(ms >= 195 && ms < 400, "100 reads a second: 21 take 200 ms (%llu)",
	   (unsigned long long)ms);
	o.riops = plain.riops;
	o.rbps = (struct rate){ 51200, 512 };
	virtio_blk_limit(d.dev, &o);
	ms = time_reads(&d, 21);
	ok(ms >= 195 && ms < 400, "51200 bytes a second: so do 21 of 512 (%llu)",
	   (unsigned long long)ms);
	// A pause while a request waits for its turn: it is not lost, nor in flight.
	put_desc(&d.drv, 0, 0, RIG_DATA, 16, VRING_DESC_F_NEXT, 1);
	put_desc(&d.drv, 0, 1, RIG_DATA + 512, 513, VRING_DESC_F_WRITE, 0);
	driver_offer(&d.drv, 0, 0);
	driver_kick(&d.drv, 0);
	driver_offer(&d.drv, 0, 0);
	driver_kick(&d.drv, 0);
	ok(d.f->device.ops->pause(&d.f->device, NULL) == 0, "pause with one waiting");
	uint16_t used = driver_used_idx(&d.drv, 0);
	usleep(50000);
	rig_step(&d.rig);
	ok(driver_used_idx(&d.drv, 0) == used, "nothing moves then");
	d.f->device.ops->resume(&d.f->device);
	for (int i = 0; i < 2000 && driver_used_idx(&d.drv, 0) != d.drv.q[0].next; i++) {
		rig_step(&d.rig);
		usleep(1000);
	}
	ok(driver_used_idx(&d.drv, 0) == d.drv.q[0].next, "both come in the end");
	disk_free(&d);
}

/* Everything in flight at once, on both queues, by indirect tables; then a reset in the middle. */
static void test_many(void)
{
	static unsigned char bytes[8 * 4096], file[8 * 4096];
	struct disk d;
	unsigned n = 0;

	disk_new(&d, image(MIB), DISK_WRITEBACK, false, &plain);
	fill(bytes, sizeof(bytes), 3);
	for (unsigned i = 0; i < 8; i++) {
		struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_OUT, .sector = 8 * i };
		uint64_t at = RIG_DATA + 0x4000 * i;
		struct vring_desc t[3] = { { at, 16, VRING_DESC_F_NEXT, 1 },
					   { at + 0x1000, 4096, VRING_DESC_F_NEXT, 2 },
					   { at + 0x3000, 1, VRING_DESC_F_WRITE, 0 } };

		guestmem_write(&d.rig.mem, at, &h, sizeof(h));
		guestmem_write(&d.rig.mem, at + 0x1000, bytes + 4096 * i, 4096);
		guestmem_write(&d.rig.mem, at + 0x2000, t, sizeof(t));
		put_desc(&d.drv, i % 2, i, at + 0x2000, sizeof(t), VRING_DESC_F_INDIRECT, 0);
		driver_offer(&d.drv, i % 2, (uint16_t)i);
	}
	driver_kick(&d.drv, 0);
	driver_kick(&d.drv, 1);
	for (int i = 0; i < 2000 && n < 8; i++) {
		uint32_t head, len;

		rig_step(&d.rig);
		n += driver_used(&d.drv, 0, &head, &len);
		n += driver_used(&d.drv, 1, &head, &len);
		usleep(1000);
	}
	ok(n == 8 && pread(d.fd, file, sizeof(file), 0) == sizeof(file) &&
		   !memcmp(file, bytes, sizeof(file)),
	   "eight writes at once on two queues");
	// Offered and kicked, and the device reset before the loop had a chance.
	for (unsigned i = 0; i < 8; i++)
		driver_offer(&d.drv, i % 2, (uint16_t)i);
	driver_put(&d.drv, d.drv.notify, 2, 0);
	driver_put(&d.drv, d.drv.notify + 4, 2, 1);
	event_base_loop(d.rig.loop, EVLOOP_NONBLOCK);
	driver_set_status(&d.drv, 0);
	for (int i = 0; i < 2000 && driver_status(&d.drv) != 0; i++) {
		rig_step(&d.rig);
		usleep(1000);
	}
	ok(driver_status(&d.drv) == 0 && driver_start(&d.drv, &d.rig, 1, 2, 0) &&
		   request(&d, 1, VIRTIO_BLK_T_IN, 0, NULL, 0, file, 4096) == 0 &&
		   !memcmp(file, bytes, 4096),
	   "a reset with requests in flight, and it works again");
	ok(d.rig.failures == 0, "nothing failed");
	disk_free(&d);
}

/* ---- the threads that do what io_uring may not ---- */

static struct block_request *ended_request;
static int64_t ended_result;

static void on_ended(struct block_request *r, int64_t result)
{
	ended_request = r;
	ended_result = result;
}

static void on_rounded(void *arg)
{
	(*(int *)arg)++;
}

static int64_t thread_call(struct block_io *io, enum block_call call, void *data, size_t len,
			   uint64_t offset)
{
	struct block_request r = { 0 };
	struct iovec iov = { data, len };
	struct block_io_call c = {
		.call = call, .iov = &iov, .niov = 1, .offset = offset, .len = len, .mode = 1
	};

	ended_request = NULL;
	io->ops->start(io, &r, &c);
	io->ops->commit(io);
	for (int i = 0; i < 100 && !ended_request; i++)
		io->ops->wait(io, 100);
	return ended_request == &r ? ended_result : -1000;
}

static void test_io(int (*make)(int, struct event_base *, struct block_io **, struct err *),
		    const char *name)
{
	struct event_base *loop = event_base_new();
	int fd = image(8192), rounds = 0;
	struct block_io *io;
	struct err e = { 0 };
	char back[4] = "";

	if (make(fd, loop, &io, &e) < 0) {
		ok(true, "%s: # SKIP %s", name, e.text);
		close(fd);
		event_base_free(loop);
		return;
	}
	io->ended = on_ended;
	io->rounded = on_rounded;
	io->arg = &rounds;
	ok(thread_call(io, BLOCK_CALL_WRITEV, (char[]){ "abcd" }, 4, 100) == 4 &&
		   thread_call(io, BLOCK_CALL_READV, back, 4, 100) == 4 && !memcmp(back, "abcd", 4),
	   "%s: write and read", name);
	ok(thread_call(io, BLOCK_CALL_SYNC, NULL, 0, 0) == 0 &&
		   thread_call(io, BLOCK_CALL_FALLOCATE, NULL, 4096, 0) == 0 &&
		   thread_call(io, BLOCK_CALL_READV, back, 4, 9000) == 0 && rounds == 5,
	   "%s: sync, fallocate, the end", name);
	io->ops->free(io);
	close(fd);
	event_base_free(loop);
}

int main(void)
{
	test_cache(DISK_WRITEBACK, "writeback");
	test_cache(DISK_NONE, "none");
	test_cache(DISK_UNSAFE, "unsafe");
	test_clear();
	test_refusals();
	test_size();
	test_host_errors();
	test_limits();
	test_many();
	test_io(block_uring_new, "io_uring");
	test_io(block_threads_new, "threads");
	return tap_done();
}
