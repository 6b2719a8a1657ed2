# kvmscope. `make run` and `make check` do everything on a fresh Debian 12.
#
#   make            build/kvmscope          make check      all tests           make bench     ratios
#   make run        demo:tour at a prompt   make install    PREFIX, DESTDIR     make fuzz      parsers
#   make matrix     emulated hosts: SVM, VT-x (HOST=svm-npt1-6.12 ONLY=steps RUN='command'; docs/HOSTS.md)
#   V=1 shows commands; O=DIR builds elsewhere; CC=clang; SANITIZE=address,undefined; WERROR=0 for packagers.

MAKEFLAGS += --no-builtin-rules
O ?= build
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
PREFIX ?= /usr/local
VERSION := 0.1
PKGS := readline capstone ncursesw tcl libbpf libelf libtraceevent zlib
Q := $(if $(V),,@)
SAY = $(if $(V),@:,@printf '  %-7s %s\n')

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef \
	$(if $(filter 0,$(WERROR)),,-Werror)
CPPFLAGS += -I. -D_GNU_SOURCE -DKVMSCOPE_VERSION='"$(VERSION)"'
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=gnu11 -fno-strict-aliasing $(WARN) -MMD -MP -pthread
ifdef SANITIZE
BASE_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
LDFLAGS += -fsanitize=$(SANITIZE)
endif
# State machines and locks are checked (core/base/check.h, lock.h) in every build for sanitizers, and if asked for.
ifneq ($(SANITIZE)$(CHECKS),)
BASE_CFLAGS += -DKVMSCOPE_CHECKS
endif
ifneq ($(filter-out deps deps-check clean run check ci matrix matrix-quick,$(or $(MAKECMDGOALS),all)),)
include $(O)/pkg.mk
endif

CORE := $(wildcard core/*/*.c core/*/*/*.c)
KVMBACK := $(wildcard kvmback/*.c kvmback/*/*.c)
VIEWS := $(wildcard views/*.c views/*/*.c)
CLI := $(wildcard cli/*.c cli/*/*.c)
DEMOS := $(wildcard core/load/demos/*.asm)
obj = $(patsubst %,$(O)/%.o,$(basename $(1)))
CORE_OBJS := $(call obj,$(CORE)) $(patsubst %.asm,$(O)/%.blob.o,$(DEMOS))
LIBS := $(O)/libviews.a $(O)/libkvmback.a $(O)/libcore.a

# tests/support: the fake machine and helpers that several tests share.
SUPPORT := $(wildcard tests/support/*.c)
UNIT := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(UNIT))

all: $(O)/kvmscope
	@:

# ---- packages: `make deps` installs what is missing when root, else says the one line that does
DEBS := gcc make pkg-config nasm libreadline-dev libcapstone-dev libncurses-dev tcl-dev libbpf-dev libelf-dev \
	libtraceevent-dev zlib1g-dev
TEST_DEBS := libcmocka-dev libjansson-dev clang clang-format libclang-rt-14-dev valgrind python3 tmux man-db util-linux less \
	chromium-headless-shell
# The second oracle of tests/qemu: where it cannot be had, that test skips and says so.
OPTIONAL_DEBS := qemu-system-x86

deps:
	$(Q)tests/checks/deps.sh $(DEBS)
deps-check:
	$(Q)tests/checks/deps.sh $(DEBS) $(TEST_DEBS)
	$(Q)tests/checks/deps.sh --optional $(OPTIONAL_DEBS)

$(O)/pkg.mk: Makefile
	$(Q)mkdir -p $(O)
	$(Q)for p in $(PKGS); do pkg-config --exists $$p || missing="$$missing $$p"; done; \
	command -v nasm >/dev/null || missing="$$missing nasm"; \
	if [ -n "$$missing" ]; then echo "missing:$$missing; make deps, or: apt-get install $(DEBS)" >&2; exit 1; fi
	$(Q)echo "PKG_CFLAGS := $$(pkg-config --cflags $(PKGS))" >$@
	$(Q)echo "PKG_LIBS := $$(pkg-config --libs $(PKGS))" >>$@

# ---- objects, archives, program
$(O)/%.o: %.c
	$(SAY) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) $(PKG_CFLAGS) -c $< -o $@

# A demo guest: nasm makes an ELF, which is carried as bytes and loaded like any other image.
$(O)/%.elf: %.asm
	$(SAY) NASM $<
	$(Q)mkdir -p $(@D)
	$(Q)nasm -f elf64 -o $(@:.elf=.tmp.o) $<
	$(Q)ld -nostdlib -static -z noexecstack -T core/load/demos/demo.ld -o $@ $(@:.elf=.tmp.o)

$(patsubst %.asm,$(O)/%.elf,$(DEMOS)): core/load/demos/demo.ld core/load/demos/long.inc

$(O)/%.blob.o: $(O)/%.elf
	$(Q)printf '.section .rodata\n.global demo_%s\n.global demo_%s_end\n.balign 16\ndemo_%s:\n.incbin "%s"\ndemo_%s_end:\n.section .note.GNU-stack,"",@progbits\n' \
	  $(notdir $*) $(notdir $*) $(notdir $*) $< $(notdir $*) | $(CC) -x assembler -c -o $@ -

$(O)/libcore.a: $(CORE_OBJS)
$(O)/libkvmback.a: $(call obj,$(KVMBACK))
$(O)/libcli.a: $(filter-out $(O)/cli/main.o,$(call obj,$(CLI)))
$(O)/libtest.a: $(call obj,$(SUPPORT))
$(O)/libviews.a: $(call obj,$(VIEWS))
$(O)/%.a:
	$(SAY) AR $@
	$(Q)rm -f $@ && ar qcs $@ $^

$(O)/kvmscope: $(call obj,$(CLI)) $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $(call obj,$(CLI)) $(LIBS) $(PKG_LIBS)

# ---- tests
$(O)/tests/%: $(O)/tests/unit/%.o $(O)/libtest.a $(O)/libcli.a $(LIBS)
	$(SAY) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -Wl,--wrap=_cmocka_run_group_tests -o $@ $< $(O)/libtest.a $(O)/libcli.a $(LIBS) $(PKG_LIBS) -lcmocka -ljansson

$(O)/tests/test_core_oom: override LDFLAGS += -Wl,--wrap=calloc,--wrap=realloc
$(O)/tests/test_kvm_faultend: override LDFLAGS += -Wl,--wrap=poll

tests: $(O)/kvmscope $(O)/gen $(UNIT_BINS) $(O)/agree $(O)/agree_stops $(O)/agree_qemu $(O)/fuzz_guest $(O)/fuzz $(O)/bench

# As many jobs as there are processors, unless the caller said how many.
PARALLEL = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# The two commands of the README. Both install what is missing first, then call make again, now that packages are there.
run: deps
	$(Q)$(MAKE) --no-print-directory $(PARALLEL) all
	$(Q)if [ -t 0 ] && [ -t 1 ]; then exec $(O)/kvmscope -x scripts/tour.tcl demo:tour; \
	else exec $(O)/kvmscope --batch -x scripts/tour.tcl demo:tour </dev/null; fi

check: deps-check
	$(Q)$(MAKE) --no-print-directory $(PARALLEL) all tests
	$(Q)tests/run.py --build $(O)

unit: tests
	$(Q)tests/run.py --build $(O) --only unit

# Ratios, not tests: no timing fails a build. BENCH_ONLY=steps picks a group, BENCH_QUICK=1 makes fewer runs.
BENCH := $(wildcard tests/bench/*.c)
$(O)/bench: $(call obj,$(BENCH)) $(O)/libcli.a $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $(call obj,$(BENCH)) $(O)/libcli.a $(LIBS) $(PKG_LIBS)

bench: $(O)/bench $(O)/kvmscope
	$(Q)$(O)/bench $(O)/kvmscope
	$(Q)tests/bench/bochs.py $(O)/kvmscope
	$(Q)tests/bench/screens.py $(O)/kvmscope
bench-peers: $(O)/kvmscope
	$(Q)tests/bench/peers.py $(O)/kvmscope

# ---- emulated hosts: tests/hosts, docs/HOSTS.md. HOST, ONLY: lists and globs; RUN: a command instead of the checks
# bochs-term before bochs, which would bring wxWidgets in its place.
MATRIX_DEBS := qemu-system-x86 bochs-term bochs xorriso isolinux syslinux-common python3
MATRIX_TESTS := $(filter test_kvm_% test_kview%live test_demo_kvm test_slot_kernel test_watch_memory test_watch_insns test_devices test_pairs, \
	$(notdir $(basename $(UNIT))))
# Some shells have the machine's name in HOST.
MATRIX_HOST := $(if $(filter command,$(origin HOST)),$(HOST))
# Those tests are built if they may run.
MATRIX_UNIT := $(if $(RUN),,$(if $(or $(if $(ONLY),,all),$(findstring unit,$(ONLY)),$(findstring test_,$(ONLY)),$(findstring *,$(ONLY))),$(MATRIX_TESTS)))
matrix: deps
	$(Q)for p in $(MATRIX_DEBS); do tests/checks/deps.sh --optional $$p; done
	$(Q)$(MAKE) --no-print-directory $(PARALLEL) matrix-built
	$(Q)tests/hosts/matrix.py --build $(O) --unit "$(MATRIX_UNIT)" --host "$(MATRIX_HOST)" --only "$(ONLY)" --run "$$RUN" $(MATRIX)
# One host with NPT and one with EPT, the groups that take seconds: what .ci/run adds to `make check`.
MATRIX_QUICK := HOST=svm-npt1-6.12,vmx-ept1-6.1 ONLY=look,steps,breakpoints,watches,exceptions,fault,smm
matrix-quick:
	$(Q)$(MAKE) --no-print-directory matrix $(MATRIX_QUICK)
matrix-built: $(O)/kvmscope $(addprefix $(O)/tests/,$(MATRIX_UNIT))
	@:
export RUN

# Written out of the program's tables, and kept in the repository: tests/checks/generated.sh compares.
$(O)/gen: $(call obj,$(wildcard completions/*.c)) $(O)/libcli.a $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS)
completions: $(O)/gen
	$(Q)$(O)/gen bash >completions/kvmscope.bash
	$(Q)$(O)/gen zsh >completions/_kvmscope
	$(Q)$(O)/gen fish >completions/kvmscope.fish
screens: $(O)/kvmscope
	$(Q)KVMSCOPE=$(O)/kvmscope tests/pty/capture.py --write
manual: $(O)/gen
	$(Q)$(O)/gen manual docs/kvmscope.1.in >docs/kvmscope.1

# ---- agreement of the soft backend with the host's KVM: tests/agree
SEEDS ?= 2000
STOP_SEEDS ?= 500
FRESH ?= 2000
AGREE := $(wildcard tests/agree/*.c)
$(O)/agree: $(call obj,$(AGREE)) $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $(call obj,$(AGREE)) $(LIBS) $(PKG_LIBS)

agree: $(O)/agree $(O)/agree_stops
	$(Q)$(O)/agree -n $(SEEDS)
	$(Q)$(O)/agree_stops -n $(STOP_SEEDS)
	$(Q)$(O)/agree_stops -b kvm -n $(STOP_SEEDS)
# ... on seeds that were never run on this machine.
agree-fresh: $(O)/agree $(O)/agree_stops
	$(Q)tests/agree/fresh.py --build $(O) --count $(FRESH)

# Lists of stops of random guests: tests/agree/stops.
STOPS_AGREE := $(wildcard tests/agree/stops/*.c)
$(O)/tests/agree/stops/handlers.bin: tests/agree/stops/handlers.asm
	$(SAY) NASM $<
	$(Q)mkdir -p $(@D)
	$(Q)nasm -f bin -o $@ $<
$(O)/tests/agree/stops/handlers.blob.o: $(O)/tests/agree/stops/handlers.bin
	$(Q)printf '.section .rodata\n.global stops_handlers\nstops_handlers:\n.incbin "%s"\n.section .note.GNU-stack,"",@progbits\n' \
	  $< | $(CC) -x assembler -c -o $@ -
$(O)/agree_stops: $(call obj,$(STOPS_AGREE) tests/agree/rng.c) $(O)/tests/agree/stops/handlers.blob.o $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS)

# ... and with QEMU's TCG, where it is installed: tests/qemu.
QEMU_SEEDS ?= 512
QEMU_LISTS ?= 24
QEMU_AGREE := $(wildcard tests/qemu/*.c) $(filter-out tests/agree/main.c,$(AGREE))
$(O)/tests/qemu/guest.bin: tests/qemu/guest.asm
	$(SAY) NASM $<
	$(Q)mkdir -p $(@D)
	$(Q)nasm -f bin -o $@ $<
$(O)/tests/qemu/guest.blob.o: $(O)/tests/qemu/guest.bin
	$(Q)printf '.section .rodata\n.global qemu_guest\n.global qemu_guest_end\nqemu_guest:\n.incbin "%s"\nqemu_guest_end:\n.section .note.GNU-stack,"",@progbits\n' \
	  $< | $(CC) -x assembler -c -o $@ -
$(O)/agree_qemu: $(call obj,$(QEMU_AGREE)) $(O)/tests/qemu/guest.blob.o $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS)

agree-qemu: $(O)/agree_qemu
	$(Q)$(O)/agree_qemu -n $(QEMU_SEEDS)
	$(Q)$(O)/agree_qemu -i -n $(QEMU_LISTS)

# ---- fuzzing under ASan and UBSan; `make fuzz`: raw guest images by libFuzzer, then each target with new seeds
FUZZ_SECONDS ?= 60
$(O)/fuzz_guest: $(O)/tests/fuzz/fuzz_guest.o $(O)/libcore.a
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ $(PKG_LIBS)

# Targets that make their own inputs of seeds: structured guests, images, expressions, command lines, BTF.
FUZZ := $(filter-out tests/fuzz/fuzz_guest.c,$(wildcard tests/fuzz/*.c))
$(O)/fuzz: $(call obj,$(FUZZ)) $(O)/libtest.a $(O)/libcli.a $(LIBS)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $(call obj,$(FUZZ)) $(O)/libtest.a $(O)/libcli.a $(LIBS) $(PKG_LIBS) -lcmocka

fuzz:
	$(Q)$(MAKE) --no-print-directory O=$(O)-fuzz CC=clang SANITIZE=address,undefined,fuzzer-no-link \
	  CFLAGS="-O1 -g -DLIBFUZZER" LDFLAGS=-fsanitize=fuzzer,address,undefined $(O)-fuzz/fuzz_guest
	$(Q)$(O)-fuzz/fuzz_guest -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=10 -print_final_stats=1
	$(Q)$(MAKE) --no-print-directory O=$(O)-san CC=clang SANITIZE=address,undefined CFLAGS="-O1 -g" $(O)-san/fuzz
	$(Q)$(O)-san/fuzz -t $(FUZZ_SECONDS) -s $$(date +%s)

format:
	$(Q)find cli completions core kvmback views tests -name '*.[ch]' -print0 | xargs -0 clang-format -i
format-check:
	$(Q)tests/checks/format.sh

install: all
	install -D -m755 $(O)/kvmscope $(DESTDIR)$(PREFIX)/bin/kvmscope
	install -D -m644 docs/kvmscope.1 $(DESTDIR)$(PREFIX)/share/man/man1/kvmscope.1
	install -D -m644 completions/kvmscope.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvmscope
	install -D -m644 completions/_kvmscope $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kvmscope
	install -D -m644 completions/kvmscope.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kvmscope.fish
	for f in scripts/*.tcl scripts/lib/*.tcl; do install -D -m644 $$f $(DESTDIR)$(PREFIX)/share/kvmscope/$$f || exit 1; done
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/kvmscope $(DESTDIR)$(PREFIX)/share/man/man1/kvmscope.1 \
	  $(DESTDIR)$(PREFIX)/share/bash-completion/completions/kvmscope \
	  $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_kvmscope \
	  $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/kvmscope.fish
	rm -rf $(DESTDIR)$(PREFIX)/share/kvmscope

clean:
	rm -rf $(O)

.PHONY: matrix matrix-quick matrix-built fuzz agree agree-fresh agree-qemu completions manual screens all tests unit run check bench bench-peers deps deps-check format format-check install uninstall clean
.SECONDARY:
-include $(shell find $(O) -name '*.d' 2>/dev/null)
