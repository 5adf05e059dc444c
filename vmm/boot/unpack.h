/*
 * unpack: decompresses part of a file, in a stream. The only file that knows the libraries.
 *
 * The input is hostile: whatever it says, at most a bounded amount of memory is used (the
 * decoders' windows, 128 MiB at most) and at most limit bytes are handed on.
 */
#ifndef VMM_BOOT_UNPACK_H
#define VMM_BOOT_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "backends/base/err.h"

#define UNPACK_MAGIC 6 /* bytes that unpack_detect() looks at */

enum unpack_format { UNPACK_UNKNOWN, UNPACK_GZIP, UNPACK_XZ, UNPACK_ZSTD, UNPACK_LZ4 };

enum unpack_format unpack_detect(const unsigned char magic[UNPACK_MAGIC]);

/* Takes the next piece of output: 0 for more, 1 for enough, or -errno with a sentence. */
typedef int unpack_sink(void *arg, const void *data, size_t len, struct err *e);

/*
 * Unpacks len bytes at offset of fd into the sink until that has enough. EINVAL when the data
 * is corrupt, ends before the sink has enough, or unpacks to more than limit bytes.
 */
int unpack(enum unpack_format format, int fd, uint64_t offset, uint64_t len, uint64_t limit,
	   unpack_sink *sink, void *arg, struct err *e);

#endif
