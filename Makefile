# machinefs: one binary, one Makefile. `make help` lists the targets.

B       ?= build
PREFIX  ?= /usr/local
CC      := gcc
VERSION := 0.1.0

include tests/deps.mk

Q := $(if $(V),,@)

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wvla -Wno-unused-parameter -Wno-missing-field-initializers
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$(B) -I/usr/include/fuse3 -I/usr/include/libnl3 \
            -DMACHINEFS_VERSION='"$(VERSION)"'
HARDEN   := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
empty :=
comma := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(HARDEN) $(SANFLAGS) -MMD -MP

# The libraries are linked in, libc is not: a monitor is exec'd for every start, and resolving
# five shared libraries took a third of a container's start.
LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
LIBS := -Wl,-Bstatic -lnl-route-3 -lnl-3 -lfuse3 -levent_core -lyaml -luring -lseccomp -larchive -ljansson -lnettle -lzstd -llzma -llz4 -lz -Wl,-Bdynamic -lpthread

SRCS := $(wildcard $(foreach room,fs vmm backends,$(room)/*.c $(room)/*/*.c))
OBJS := $(SRCS:%.c=$(B)/%.o)
LIB_OBJS := $(filter-out $(B)/fs/main.o,$(OBJS))

.DEFAULT_GOAL := all
.PHONY: all clean help install manual
all: $(B)/machinefs $(B)/machinefs-oci

$(B)/machinefs: $(OBJS)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# A client of the tree: of the project it has only what reads and writes text.
OCI_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard examples/oci/*.c)) $(addprefix $(B)/backends/,\
            $(addprefix base/,argv.o err.o text.o signame.o) container/capabilities.o)

$(B)/machinefs-oci: $(OCI_OBJS)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -Wl,-Bstatic -ljansson -Wl,-Bdynamic

$(B)/%.o: %.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

install: $(B)/machinefs $(B)/machinefs-oci
	install -D -m 755 $(B)/machinefs $(DESTDIR)$(PREFIX)/bin/machinefs
	install -D -m 755 $(B)/machinefs-oci $(DESTDIR)$(PREFIX)/bin/machinefs-oci
	install -D -m 644 docs/machinefs.8 $(DESTDIR)$(PREFIX)/share/man/man8/machinefs.8
	install -D -m 644 docs/machinefs-oci.8 $(DESTDIR)$(PREFIX)/share/man/man8/machinefs-oci.8
	install -D -m 644 docs/machinefs.5 $(DESTDIR)$(PREFIX)/share/man/man5/machinefs.5
	sed 's,@PREFIX@,$(PREFIX),' docs/machinefs.service >$(B)/machinefs.service
	install -D -m 644 $(B)/machinefs.service $(DESTDIR)$(PREFIX)/lib/systemd/system/machinefs.service
	install -D -m 644 README.md $(DESTDIR)$(PREFIX)/share/doc/machinefs/README.md

# The page comes from the tables in fs/; a copy is kept for readers and packagers.
manual: $(B)/machinefs
	$(B)/machinefs --manual >$(B)/machinefs.5
	cp $(B)/machinefs.5 docs/machinefs.5

include tests/tests.mk

# ---- the tiny guest: tests/guest/tiny.c says what it can ----
GUEST_CFLAGS := -std=gnu17 -O2 -Wall -Wextra -Werror -Wno-unused-parameter -ffreestanding -fno-pic \
                -mno-red-zone -mgeneral-regs-only -fno-stack-protector -fcf-protection=none \
                -fno-asynchronous-unwind-tables -nostdlib -static -no-pie \
                -Wl,--build-id=none,-z,noexecstack,--no-warn-rwx-segments,-T,tests/guest/tiny.ld

$(B)/tests/guest/tiny.elf: GUEST_VARIANT :=
$(B)/tests/guest/tiny-pvh.elf: GUEST_VARIANT := -DPVH
$(B)/tests/guest/tiny.elf $(B)/tests/guest/tiny-pvh.elf: GUEST_MAIN := tests/guest/tiny.c
$(B)/tests/guest/hostile.elf: GUEST_MAIN := tests/guest/hostile.c
$(B)/tests/guest/%.elf: $(addprefix tests/guest/,tiny.c hostile.c guest.h start.S tiny.ld)
	@mkdir -p $(@D)
	@echo "  GUEST $@"
	$(Q)$(CC) $(GUEST_CFLAGS) $(GUEST_VARIANT) -o $@ tests/guest/start.S $(GUEST_MAIN)
# ---- end of the tiny guest ----

clean:
	rm -rf $(B) $(B)-asan

help:
	@echo 'make              build $(B)/machinefs'
	@echo 'make demo         show the main job, command by command (root)'
	@echo 'make check        all tests; TESTS="tests/fs/a.sh ..." only these; JOBS=2; V=1 every result'
	@echo 'make check-asan   all tests with address and undefined-behaviour sanitizers'
	@echo 'make fuzz         the fuzzers alone; FUZZ_SECONDS=3600 FUZZ_SEED=N FUZZ_KEEP=DIR'
	@echo 'make lab-check    the tests that run inside the lab; tests/lab/run TEST runs one'
	@echo 'make bench        figures beside the peers, as ratios (root)'
	@echo 'make bench-lab    VMs beside QEMU, in the lab; BENCH="boot first disk net idle" ROUNDS=N'
	@echo 'make lint         formatting, include directions, static checks'
	@echo 'make manual       docs/machinefs.5, anew from the tables in fs/'
	@echo 'make install      to DESTDIR and PREFIX ($(PREFIX))'
	@echo 'Variables: V=1 shows commands; B=DIR builds elsewhere; SAN=1 with sanitizers.'
	@echo 'What is missing is installed with apt-get when root runs make.'

-include $(OBJS:.o=.d) $(OCI_OBJS:.o=.d)
