# Tests: `make check`, parts of it, and what they need built. The runner is tests/run.
#
# TESTS="tests/fs/a.sh tests/unit/b.c" runs only these; "lab:tests/container/c.sh" inside the lab.
# CHECK_BUILDS is what must be there before a script runs; a room adds its guests to it.

UNIT_SRCS := $(wildcard tests/unit/*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/tests/unit/%)
# A make below this one: on all CPUs unless told otherwise, saying only what it builds.
SUBMAKE = $(MAKE) --no-print-directory $(if $(V),,-s) \
          $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

HOST_TESTS := $(UNIT_SRCS) $(wildcard tests/fs/*.sh tests/container/*.sh tests/vm/*.sh \
              tests/fault/*.sh tests/fuzz/*.sh)
# Inside the lab: its own scripts, and what shows something else under cgroup v2 and real KVM.
LAB_TESTS  := $(filter-out tests/lab/mkinitrd.sh,$(wildcard tests/lab/*.sh)) \
              $(addprefix lab:,$(wildcard tests/unit/*cgroup*.c tests/unit/hostcheck.c \
              tests/unit/container*.c tests/unit/seccomp.c \
              $(addprefix tests/unit/vmm_,$(addsuffix .c,boot engine kernel vhost)) \
              tests/container/*.sh tests/vm/*.sh) tests/fs/spare.sh tests/fs/user.sh \
              $(filter-out tests/remote/hosts.sh,$(wildcard tests/remote/*.sh)))
# Not seen green from end to end there yet, or not often enough: run by `make lab-check`, and no part
# of `make check` until they are.
LAB_UNPROVEN := lab:tests/container/podman.sh
TESTS      ?= $(HOST_TESTS) $(filter-out $(LAB_UNPROVEN),$(LAB_TESTS))

# Fuzz targets; tests/fuzz/fuzz.sh runs them. What they reach of the project is compiled once more,
# with sanitizers and with a call at each branch, by which a target sees where an input went.
FUZZ_BINS := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/*.c))
FUZZ_SAN  := -O1 -g -fPIE -fsanitize=address,undefined -fno-sanitize-recover=undefined \
             -fno-omit-frame-pointer
# What a target answers instead: tests/fuzz/daemon.h.
FUZZ_WRAP := -Wl,--wrap=cgroup_host_new,--wrap=opener_open,--wrap=opener_check,--wrap=opener_check_map
FUZZ_WRAPPED := $(shell grep -l tests/fuzz/daemon.h tests/fuzz/*.c)
# The container engine is not, but for its filters.
FUZZ_SRCS := $(filter-out fs/main.c backends/container/%,$(SRCS)) \
             $(addprefix backends/container/,seccomp.c seccomp_file.c)
FUZZ_OBJS := $(FUZZ_SRCS:%.c=$(B)/tests/fuzz/%.o) \
             $(filter-out %/seccomp.o %/seccomp_file.o,$(filter $(B)/backends/container/%,$(OBJS)))
CHECK_BUILDS += $(if $(filter tests/fuzz/%,$(TESTS)),$(FUZZ_BINS))

# With TESTS given, only the unit tests among them are built.
CHECK_UNITS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,\
               $(filter tests/unit/%.c,$(TESTS:lab:%=%)))
CHECK_BUILDS += $(B)/machinefs-oci $(B)/tests/box $(B)/tests/fault/failcall $(B)/tests/fault/clockstep.so $(B)/tests/rootfs \
                $(B)/machinefs \
                $(B)/tests/guest/tiny.elf $(B)/tests/guest/tiny-pvh.elf $(B)/tests/guest/hostile.elf $(B)/tests/guest/sock

.PHONY: check check-build check-asan fuzz lab-check lint bench bench-lab demo
.PRECIOUS: $(B)/tests/unit/%.o $(B)/tests/fuzz/%.o

# Everything apt can bring comes first, in one go; the lab's part is optional.
check:
	@tests/deps.sh build check
	@tests/deps.sh --optional lab kernel
	+@$(SUBMAKE) check-build TESTS="$(TESTS)"
	@B=$(B) V=$(V) JOBS=$(or $(JOBS),1) tests/run $(TESTS)

lab-check:
	@$(MAKE) --no-print-directory check TESTS="$(LAB_TESTS)"

check-asan:
	@$(MAKE) --no-print-directory check B=$(B)-asan SAN=1

# FUZZ_SECONDS=3600 make fuzz: for that long; FUZZ_KEEP=DIR keeps what found a new way.
fuzz:
	@$(MAKE) --no-print-directory check TESTS=tests/fuzz/fuzz.sh

# $(CHECK_BUILDS) again, late: what rooms added after this file was read counts as well.
check-build: $(CHECK_UNITS)
	+@$(SUBMAKE) $(CHECK_BUILDS)

# The main job, shown: examples/demo.sh prints what it does. Where this machine cannot boot stock
# kernels the lab is made ready for it; what cannot be fetched or built costs only its own part.
DEMO_BUILDS := $(B)/machinefs $(B)/tests/box $(B)/tests/rootfs $(B)/tests/guest/tiny.elf
DEMO_LAB := $(if $(shell grep -wE 'svm|vmx' /proc/cpuinfo),,lab)
demo:
	@tests/deps.sh build demo
	@[ "$$(id -u)" = 0 ] || { echo "demo: needs root: sudo make demo" >&2; exit 1; }
	@tests/deps.sh --optional kernel $(DEMO_LAB)
	@echo "Building machinefs and a tiny guest (a minute at most) ..."
	+@$(SUBMAKE) $(DEMO_BUILDS)
	@[ -f build/kernel/vmlinuz ] || tests/lab/kernel build/kernel || true
	$(if $(DEMO_LAB),@[ ! -f build/kernel/vmlinuz ] || tests/lab/run || true)
	@B=$(B) examples/demo.sh

# Figures, never a verdict; tests/bench/run says what is measured.
BENCHES := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c))
bench:
	@tests/deps.sh build check
	@tests/deps.sh --optional bench
	+@$(SUBMAKE) check-build $(BENCHES) CHECK_UNITS=
	@B=$(B) tests/bench/run

# What needs a real KVM and stock kernels: beside QEMU, in the lab.
bench-lab:
	@tests/deps.sh build check lab kernel bench
	+@$(SUBMAKE) check-build $(BENCHES) CHECK_UNITS=
	@B=$(B) tests/bench/lab

$(B)/tests/bench/guest_io $(B)/tests/guest/sock: CFLAGS += -static
# Objects are built first: warnings are errors, and some rules look at them.
lint:
	@tests/deps.sh build lint
	+@$(SUBMAKE) $(OBJS)
	@B=$(B) tests/lint

# A unit test is one C file that prints TAP; it links against everything but main(). From an
# archive only what it uses is taken, so it may stand in for a module by defining its functions.
$(UNIT_BINS): %: %.o $(B)/tests/machinefs.a
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/tests/machinefs.a: $(LIB_OBJS)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcsT $@ $^

$(B)/tests/fuzz/machinefs.a: $(FUZZ_OBJS)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcsT $@ $^

$(FUZZ_BINS): %: %.o $(B)/tests/fuzz/machinefs.a
	@echo "  LD    $@"
	$(Q)$(CC) -pie $(FUZZ_SAN) $(if $(filter tests/fuzz/$(@F).c,$(FUZZ_WRAPPED)),$(FUZZ_WRAP)) -o $@ $^ $(LIBS)

$(B)/tests/fuzz/fs/%.o $(B)/tests/fuzz/vmm/%.o $(B)/tests/fuzz/backends/%.o: FUZZ_SAN += -fsanitize-coverage=trace-pc
$(B)/tests/fuzz/fs/%.o: fs/%.c | $(DEPS_STAMP)
	$(fuzz_compile)
$(B)/tests/fuzz/vmm/%.o: vmm/%.c | $(DEPS_STAMP)
	$(fuzz_compile)
$(B)/tests/fuzz/backends/%.o: backends/%.c | $(DEPS_STAMP)
	$(fuzz_compile)
$(B)/tests/fuzz/%.o: tests/fuzz/%.c | $(DEPS_STAMP)
	$(fuzz_compile)

define fuzz_compile
@mkdir -p $(@D)
@echo "  CC    $@"
$(Q)$(CC) $(CPPFLAGS) -std=gnu17 $(WARN) $(FUZZ_SAN) -MMD -MP -c -o $@ $<
endef

# Helpers of the tests are one file each, and need nothing of the project.
$(B)/tests/%: tests/%.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu17 $(CFLAGS) $(WARN) -o $@ $< $(TEST_LIBS)

$(B)/tests/fault/failcall: TEST_LIBS := -lseccomp

$(B)/tests/fault/clockstep.so: tests/fault/clockstep.c | $(DEPS_STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu17 $(CFLAGS) $(WARN) -shared -fPIC -o $@ $<

# A root directory for containers: busybox under all its names.
$(B)/tests/rootfs: tests/busybox-root
	@tests/deps.sh demo
	@echo "  ROOT  $@"
	$(Q)rm -rf $@ && tests/busybox-root $@

-include $(UNIT_SRCS:%.c=$(B)/%.d) $(FUZZ_BINS:%=%.d) $(FUZZ_OBJS:.o=.d)
