# machinefs: one binary, one Makefile. `make help` lists the targets.
#
# make            build build/machinefs        make check      all tests
# make demo       show the main job            make bench      figures beside the peers
# Variables: V=1 shows commands; B=DIR builds elsewhere; SAN=1 builds with ASan and UBSan.

B       ?= build
PREFIX  ?= /usr/local
CC      := gcc
VERSION := 0.1.0

include tests/deps.mk

Q := $(if $(V),,@)

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wwrite-strings -Wvla -Wno-unused-parameter -Wno-missing-field-initializers
CPPFLAGS += -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I. -I$(B) -I/usr/include/fuse3 \
            -DMACHINEFS_VERSION='"$(VERSION)"'
HARDEN   := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
empty :=
comma := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
ALL_CFLAGS = -std=gnu17 $(CFLAGS) $(WARN) $(HARDEN) $(SANFLAGS) -MMD -MP

# The libraries are linked in, libc is not: a monitor is exec'd for every start, and resolving
# five shared libraries took a third of a container's start.
LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
LIBS := -Wl,-Bstatic -lfuse3 -levent_core -lyaml -lseccomp -lzstd -llzma -lz -Wl,-Bdynamic -lpthread

SRCS := $(wildcard fs/*.c vmm/*.c backends/*.c backends/container/*.c)
OBJS := $(SRCS:%.c=$(B)/%.o)
LIB_OBJS := $(filter-out $(B)/fs/main.o,$(OBJS))

.DEFAULT_GOAL := all
.PHONY: all clean install
all: $(B)/machinefs

$(B)/machinefs: $(OBJS)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

install: $(B)/machinefs
	install -D -m 755 $(B)/machinefs $(DESTDIR)$(PREFIX)/bin/machinefs

include tests/tests.mk

clean:
	rm -rf $(B)

-include $(OBJS:.o=.d)
