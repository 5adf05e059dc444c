/* unpack: see unpack.h. */
#include "vmm/boot/unpack.h"

#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define IN_SIZE	   ((size_t)64 << 10)
#define OUT_SIZE   ((size_t)256 << 10)
#define WINDOW_MAX ((uint64_t)128 << 20) /* what kernels are packed with at the most */
#define WINDOW_LOG 27

#define LZ4_MAGIC      0x184c2102u
#define LZ4_BLOCK      (8 << 20)
#define LZ4_PACKED_MAX LZ4_COMPRESSBOUND(LZ4_BLOCK)

/* One run: where the input is read and the output collected. */
struct unpacker {
	int fd;
	uint64_t offset; /* next byte of the file */
	uint64_t left;	 /* and how many may still be read */
	uint64_t limit;	 /* output bytes still allowed */
	unpack_sink *sink;
	void *sink_arg;
	unsigned char *in; /* IN_SIZE; in_len bytes from in_at on are unread */
	size_t in_at;
	size_t in_len;
	unsigned char *out; /* OUT_SIZE */
};

/* A decoder consumes from u->in and fills out; *ret_end when its stream is complete. */
struct decoder {
	const char *name;
	int (*init)(void *state);
	int (*step)(void *state, struct unpacker *u, size_t *ret_out, bool *ret_end);
	void (*end)(void *state);
};

/* Reads more input when there is none; leaves none at the end. */
static int unpack_refill(struct unpacker *u, struct err *e)
{
	ssize_t n;

	if (u->in_len || !u->left)
		return 0;
	do
		n = pread(u->fd, u->in, u->left < IN_SIZE ? u->left : IN_SIZE, (off_t)u->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(e, errno, "cannot read it");
	if (n == 0)
		return err_set(e, -EINVAL, "the file ends inside its payload; it is truncated");
	u->in_at = 0;
	u->in_len = (size_t)n;
	u->offset += (uint64_t)n;
	u->left -= (uint64_t)n;
	return 0;
}

/* Hands on a piece of output: 0 for more, 1 for enough, or -errno. */
static int unpack_emit(struct unpacker *u, const void *data, size_t len, const char *name,
		       struct err *e)
{
	if (len > u->limit)
		return err_set(e, -EINVAL, "its %s payload unpacks to more than fits in memory",
			       name);
	u->limit -= len;
	return u->sink(u->sink_arg, data, len, e);
}

static int gzip_init(void *state)
{
	return inflateInit2((z_stream *)state, MAX_WBITS + 16) == Z_OK ? 0 : -ENOMEM;
}

static int gzip_step(void *state, struct unpacker *u, size_t *ret_out, bool *ret_end)
{
	z_stream *z = state;
	int r;

	z->next_in = u->in + u->in_at;
	z->avail_in = (uInt)u->in_len;
	z->next_out = u->out;
	z->avail_out = OUT_SIZE;
	r = inflate(z, Z_NO_FLUSH);
	u->in_at += u->in_len - z->avail_in;
	u->in_len = z->avail_in;
	*ret_out = OUT_SIZE - z->avail_out;
	*ret_end = r == Z_STREAM_END;
	return r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR ? 0 : -EINVAL;
}

static void gzip_end(void *state)
{
	inflateEnd((z_stream *)state);
}

static int xz_init(void *state)
{
	return lzma_stream_decoder((lzma_stream *)state, WINDOW_MAX, 0) == LZMA_OK ? 0 : -ENOMEM;
}

static int xz_step(void *state, struct unpacker *u, size_t *ret_out, bool *ret_end)
{
	lzma_stream *x = state;
	lzma_ret r;

	x->next_in = u->in + u->in_at;
	x->avail_in = u->in_len;
	x->next_out = u->out;
	x->avail_out = OUT_SIZE;
	r = lzma_code(x, LZMA_RUN);
	u->in_at += u->in_len - x->avail_in;
	u->in_len = x->avail_in;
	*ret_out = OUT_SIZE - x->avail_out;
	*ret_end = r == LZMA_STREAM_END;
	return r == LZMA_OK || r == LZMA_STREAM_END || r == LZMA_BUF_ERROR ? 0 : -EINVAL;
}

static void xz_end(void *state)
{
	lzma_end((lzma_stream *)state);
}

static int zstd_init(void *state)
{
	ZSTD_DStream **z = state;

	*z = ZSTD_createDStream();
	if (!*z)
		return -ENOMEM;
	return ZSTD_isError(ZSTD_DCtx_setParameter(*z, ZSTD_d_windowLogMax, WINDOW_LOG)) ? -EINVAL
											 : 0;
}

static int zstd_step(void *state, struct unpacker *u, size_t *ret_out, bool *ret_end)
{
	ZSTD_DStream **z = state;
	ZSTD_inBuffer in = { u->in + u->in_at, u->in_len, 0 };
	ZSTD_outBuffer out = { u->out, OUT_SIZE, 0 };
	size_t r = ZSTD_decompressStream(*z, &out, &in);

	u->in_at += in.pos;
	u->in_len -= in.pos;
	*ret_out = out.pos;
	*ret_end = r == 0;
	return ZSTD_isError(r) ? -EINVAL : 0;
}

static void zstd_end(void *state)
{
	ZSTD_freeDStream(*(ZSTD_DStream **)state);
}

/*
 * LZ4's legacy frame, the one that kernels are packed in: blocks of at most 8 MiB, each after its
 * packed size. It has no end mark; a kernel has its unpacked size behind the last block.
 */
static int lz4_read(struct unpacker *u, void *data, size_t len, struct err *e)
{
	size_t got = 0;

	while (got < len) {
		size_t n;
		int r = unpack_refill(u, e);

		if (r < 0)
			return r;
		if (!u->in_len)
			return err_set(e, -EINVAL, "its lz4 payload is truncated");
		n = len - got < u->in_len ? len - got : u->in_len;
		memcpy((char *)data + got, u->in + u->in_at, n);
		u->in_at += n;
		u->in_len -= n;
		got += n;
	}
	return 0;
}

static int lz4_blocks(struct unpacker *u, char *packed, char *plain, struct err *e)
{
	uint32_t size = 0;
	int r, n;

	for (;;) {
		r = lz4_read(u, &size, sizeof(size), e);
		if (r < 0)
			return r;
		if (size == LZ4_MAGIC) // the first one, or another frame
			continue;
		if (size == 0 || size > LZ4_PACKED_MAX)
			return err_set(e, -EINVAL, "its lz4 payload is corrupt");
		r = lz4_read(u, packed, size, e);
		if (r < 0)
			return r;
		n = LZ4_decompress_safe(packed, plain, (int)size, LZ4_BLOCK);
		if (n < 0)
			return err_set(e, -EINVAL, "its lz4 payload is corrupt");
		r = unpack_emit(u, plain, (size_t)n, "lz4", e);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

static int lz4_run(struct unpacker *u, struct err *e)
{
	char *buffer = malloc((size_t)LZ4_PACKED_MAX + LZ4_BLOCK);
	int r;

	if (!buffer)
		return err_sys(e, ENOMEM, "cannot unpack it");
	r = lz4_blocks(u, buffer, buffer + LZ4_PACKED_MAX, e);
	free(buffer);
	return r;
}

static const struct decoder decoders[] = {
	[UNPACK_GZIP] = { "gzip", gzip_init, gzip_step, gzip_end },
	[UNPACK_XZ] = { "xz", xz_init, xz_step, xz_end },
	[UNPACK_ZSTD] = { "zstd", zstd_init, zstd_step, zstd_end },
};

enum unpack_format unpack_detect(const unsigned char magic[UNPACK_MAGIC])
{
	static const unsigned char gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd },
				   lz4[] = { 0x02, 0x21, 0x4c, 0x18 },
				   xz[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

	if (!memcmp(magic, gzip, sizeof(gzip)))
		return UNPACK_GZIP;
	if (!memcmp(magic, xz, sizeof(xz)))
		return UNPACK_XZ;
	if (!memcmp(magic, zstd, sizeof(zstd)))
		return UNPACK_ZSTD;
	if (!memcmp(magic, lz4, sizeof(lz4)))
		return UNPACK_LZ4;
	return UNPACK_UNKNOWN;
}

static int unpack_run(struct unpacker *u, const struct decoder *d, void *state, struct err *e)
{
	bool end = false;
	size_t out;
	int r;

	while (!end) {
		size_t before;

		r = unpack_refill(u, e);
		if (r < 0)
			return r;
		before = u->in_len;
		r = d->step(state, u, &out, &end);
		if (r < 0)
			return err_set(e, r, "its %s payload is corrupt", d->name);
		r = unpack_emit(u, u->out, out, d->name, e);
		if (r != 0)
			return r < 0 ? r : 0;
		if (!end && out == 0 && u->in_len == before && !(u->in_len == 0 && u->left))
			break; // no progress and nothing more to feed it
	}
	return err_set(e, -EINVAL, "its %s payload is truncated", d->name);
}

int unpack(enum unpack_format format, int fd, uint64_t offset, uint64_t len, uint64_t limit,
	   unpack_sink *sink, void *arg, struct err *e)
{
	const struct decoder *d = &decoders[format];
	struct unpacker u = { .fd = fd,
			      .offset = offset,
			      .left = len,
			      .limit = limit,
			      .sink = sink,
			      .sink_arg = arg };
	union {
		z_stream gzip;
		lzma_stream xz;
		ZSTD_DStream *zstd;
	} state;
	int r;

	memset(&state, 0, sizeof(state));
	u.in = malloc(IN_SIZE + OUT_SIZE);
	if (!u.in)
		return err_sys(e, ENOMEM, "cannot unpack it");
	u.out = u.in + IN_SIZE;
	if (format == UNPACK_LZ4) {
		r = lz4_run(&u, e);
	} else {
		r = d->init(&state);
		if (r < 0)
			err_set(e, r = -ENOSPC, "no memory to unpack it");
		else
			r = unpack_run(&u, d, &state, e);
		d->end(&state);
	}
	free(u.in);
	return r;
}
