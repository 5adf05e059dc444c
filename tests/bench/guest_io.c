/*
 * guest_io: what a guest measures of its devices; also the other end of its network.
 *
 *   guest_io disk DEVICE SECONDS   I/O past the guest's page cache: "disk NAME VALUE UNIT" a line
 *   guest_io net ADDRESS SECONDS   against guest_io serve: "net NAME VALUE UNIT" a line
 *   guest_io serve                 TCP on PORT, until it is killed
 *
 * The same binary runs under every monitor, so that only what is below it differs.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/fs.h>

#include "bench.h"

#define PORT	  5001
#define THREADS	  16
#define BIG	  (256u << 10)
#define MODE_ECHO 'e' /* the first byte of a connection: what the server does with it */
#define MODE_SINK 's'
#define MODE_SEND 'r'

/* ---- disk ---- */

struct load {
	const char *device;
	uint64_t size;
	size_t block;
	int write, random;
	double end; /* microseconds of the clock */
	unsigned seed;
	uint64_t done; /* operations */
};

static void *load_run(void *arg)
{
	struct load *l = arg;
	int fd = open(l->device, (l->write ? O_WRONLY : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	uint64_t blocks = l->size / l->block, at = l->seed % blocks;
	void *buf;

	if (fd < 0 || posix_memalign(&buf, 4096, l->block))
		give_up(l->device);
	memset(buf, (int)l->seed, l->block);
	while (now_us() < l->end) {
		off_t offset = (off_t)(at * l->block);
		ssize_t n = l->write ? pwrite(fd, buf, l->block, offset)
				     : pread(fd, buf, l->block, offset);

		if (n != (ssize_t)l->block)
			give_up(l->device);
		l->done++;
		at = (l->random ? (uint64_t)rand_r(&l->seed) : at + 1) % blocks;
	}
	free(buf);
	close(fd);
	return NULL;
}

/* Runs a load on n threads and prints its operations, or megabytes, a second. */
static void disk_figure(const char *name, const struct load *what, int n, double seconds)
{
	struct load loads[THREADS];
	pthread_t threads[THREADS];
	double start = now_us();
	uint64_t done = 0;

	for (int i = 0; i < n; i++) {
		loads[i] = *what;
		loads[i].seed = (unsigned)i + 1;
		loads[i].end = start + seconds * 1e6;
		if (pthread_create(&threads[i], NULL, load_run, &loads[i]))
			give_up("thread");
	}
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		done += loads[i].done;
	}
	seconds = (now_us() - start) / 1e6;
	if (what->random)
		printf("disk %s %.0f op/s\n", name, (double)done / seconds);
	else
		printf("disk %s %.1f MB/s\n", name, (double)(done * what->block) / seconds / 1e6);
	fflush(stdout);
}

static int disk_main(const char *device, double seconds)
{
	struct load l = { .device = device };
	int fd = open(device, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &l.size) || l.size < 4 * BIG)
		give_up(device);
	close(fd);
	l.random = 1;
	l.block = 4096;
	disk_figure("random-read-1", &l, 1, seconds);
	disk_figure("random-read-16", &l, THREADS, seconds);
	l.write = 1;
	disk_figure("random-write-16", &l, THREADS, seconds);
	l.random = 0;
	l.block = BIG;
	disk_figure("write", &l, 1, seconds);
	l.write = 0;
	disk_figure("read", &l, 1, seconds);
	return 0;
}

/* ---- net ---- */

static int connection(const char *address, char mode)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) || write(fd, &mode, 1) != 1)
		give_up(address);
	return fd;
}

/* Megabytes a second. */
static double net_move(const char *name, int fd, char mode, double seconds)
{
	static char buf[BIG];
	double start = now_us(), end = start + seconds * 1e6;
	uint64_t bytes = 0;

	while (now_us() < end) {
		ssize_t n = mode == MODE_SINK ? write(fd, buf, sizeof(buf))
					      : read(fd, buf, sizeof(buf));

		if (n <= 0)
			give_up(name);
		bytes += (uint64_t)n;
	}
	return (double)bytes / (now_us() - start);
}

/*
 * What comes first is no figure: windows and buffers grow and are filled, and the guest takes pages
 * that are new to the host if its boot happens not to have touched them, a huge one of which takes
 * 4 ms of the lab. What counts is longer: both ends have turns of up to a megabyte.
 */
static void net_stream(const char *name, const char *address, char mode, double seconds)
{
	int fd = connection(address, mode);

	net_move(name, fd, mode, seconds);
	printf("net %s %.1f MB/s\n", name, net_move(name, fd, mode, 3 * seconds));
	fflush(stdout);
	close(fd);
}

static void net_round_trip(const char *address, double seconds)
{
	static struct samples s;
	int fd = connection(address, MODE_ECHO);
	double end = now_us() + seconds * 1e6, start;
	char byte = 0;

	while ((start = now_us()) < end) {
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			give_up("round trip");
		sample_add(&s, now_us() - start);
	}
	qsort(s.us, (size_t)s.n, sizeof(s.us[0]), sample_order);
	printf("net round-trip %.1f us\n", s.us[s.n / 2]);
	fflush(stdout);
	close(fd);
}

static int net_main(const char *address, double seconds)
{
	net_round_trip(address, seconds);
	net_stream("send", address, MODE_SINK, seconds);
	net_stream("receive", address, MODE_SEND, seconds);
	return 0;
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg, one = 1;
	static const char zero[BIG];
	char mode = 0, *buf = malloc(BIG);
	ssize_t n = read(fd, &mode, 1);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (buf && n > 0) {
		if (mode == MODE_SEND) {
			n = write(fd, zero, sizeof(zero));
			continue;
		}
		n = read(fd, buf, BIG);
		if (n > 0 && mode == MODE_ECHO)
			n = write(fd, buf, (size_t)n);
	}
	free(buf);
	close(fd);
	return NULL;
}

static int serve_main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	pthread_t thread;

	signal(SIGPIPE, SIG_IGN);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 16))
		give_up("serve");
	for (;;) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (client >= 0 &&
		    pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)client) == 0)
			pthread_detach(thread);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return serve_main();
	if (argc == 4 && !strcmp(argv[1], "disk"))
		return disk_main(argv[2], atof(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "net"))
		return net_main(argv[2], atof(argv[3]));
	return 2;
}
