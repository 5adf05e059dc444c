/* Core files: what readelf and gdb make of them, where they are installed. No KVM. */
#include "tests/unit/tap.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/core.h"

#define MIB ((uint64_t)1 << 20)

static bool has(const char *command)
{
	char line[100];

	snprintf(line, sizeof(line), "command -v %s >/dev/null 2>&1", command);
	return system(line) == 0;
}

static char *output(const char *command)
{
	static char text[65536];
	FILE *f = popen(command, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	text[n] = 0;
	if (f)
		pclose(f);
	return text;
}

int main(void)
{
	struct guestmem_want want = { .size = 16 * MIB, .possible = 32 * MIB };
	struct core_cpu cpus[2] = { { 0, { .rip = 0x1234, .rsp = 0xfff0 } },
				    { 3, { .rip = 0xffffffff81000000, .rax = 77 } } };
	char path[] = "/tmp/vmm_core.XXXXXX", line[256], *said;
	struct guestmem m;
	struct err e = { 0 };
	struct stat st;
	Elf64_Ehdr head;
	Elf64_Phdr p[4];
	int fd = mkstemp(path);

	if (fd < 0 || guestmem_make(&m, &want, &e) < 0)
		abort();
	guestmem_plug(&m, 2, 1);
	guestmem_write(&m, 5 * MIB, "in the middle", 14);
	guestmem_write(&m, m.hot.gpa + 4 * MIB, "came later", 11);
	ok(core_write(fd, &m, cpus, 2, &e) == 0, "written: %s", e.text);
	ok(pread(fd, &head, sizeof(head), 0) == sizeof(head) && head.e_type == ET_CORE &&
		   head.e_phnum == 3 && pread(fd, p, 3 * sizeof(*p), (off_t)head.e_phoff) > 0,
	   "a core file with notes and two segments");
	ok(p[1].p_paddr == 0 && p[1].p_filesz == 16 * MIB && p[2].p_paddr == m.hot.gpa + 4 * MIB &&
		   p[2].p_filesz == 2 * MIB,
	   "RAM, and the block that came later, alone");
	fstat(fd, &st);
	ok((uint64_t)st.st_size == p[2].p_offset + 2 * MIB && st.st_blocks * 512 < 1 << 20,
	   "zeros are holes: %ld KiB of %ld", (long)st.st_blocks / 2, (long)st.st_size >> 10);
	if (has("readelf")) {
		snprintf(line, sizeof(line), "readelf -hln %s 2>&1", path);
		said = output(line);
		ok(strstr(said, "CORE (Core file)") && strstr(said, "NT_PRSTATUS") &&
			   !strstr(said, "rror") && !strstr(said, "arning"),
		   "readelf has nothing against it");
	}
	if (has("gdb")) {
		snprintf(line, sizeof(line),
			 "gdb -nx -batch -ex 'core-file %s' -ex 'info threads' -ex 'p $rip' "
			 "-ex 'x/s 0x500000' -ex 'thread 2' -ex 'p $rax' 2>&1",
			 path);
		said = output(line);
		ok(strstr(said, "0x1234") && strstr(said, "in the middle") &&
			   strstr(said, "= 77") && strstr(said, "ffffffff81000000"),
		   "gdb reads memory and registers");
		if (!strstr(said, "= 77"))
			printf("# %s\n", said);
	}
	close(fd);
	fd = open("/dev/full", O_RDWR);
	ok(fd < 0 || core_write(fd, &m, cpus, 2, &e) == -ENOSPC, "a full disk: %s", e.text);
	close(fd);
	if (!getenv("KEEP"))
		unlink(path);
	guestmem_free(&m);
	return tap_done();
}
