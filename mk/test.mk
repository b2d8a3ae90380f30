# SPDX-License-Identifier: Apache-2.0
# The four floors of tests, and the checks of style and layers.

PYTEST    := /usr/bin/python3 -m pytest -p no:cacheprovider
SAN       := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CLANG     ?= clang
TEST_LIBS := cmocka
LAB_GUEST := $(IMAGES)/vmlinux $(addprefix $(IMAGES)/,test-initrd.img hardware-initrd.img dpdk-initrd.img)

## make test        install what is missing and run every test: units, fuzz corpora, guests, lab
test: $(BUILD)/toyvmm $(BUILD)/toyvmm-san $(BUILD)/unit $(BUILD)/vfio-user-nvme fuzz-targets guests bench-guests images $(LAB_GUEST) lab-images lab-next | $(BUILD)/deps-test.ok
	tools/run-tests

## make test-unit   unit tests alone (seconds, no /dev/kvm)
test-unit: $(BUILD)/unit
	$(BUILD)/unit

## make test-guest  bare-metal guests under this machine's /dev/kvm
test-guest: $(BUILD)/toyvmm $(BUILD)/toyvmm-san $(BUILD)/vfio-user-nvme guests | $(BUILD)/deps-test.ok
	tools/run-tests guest

## make test-lab    stock Linux guests in the nested lab
test-lab: $(BUILD)/toyvmm $(BUILD)/vfio-user-nvme guests images $(LAB_GUEST) lab-images lab-next | $(BUILD)/deps-test.ok
	tools/run-tests lab

## make test-kernels   Debian 12's kernel, 6.12 and 7.x, each to a login, in the lab with QEMU 11.1
test-kernels: $(BUILD)/toyvmm lab-images lab-qemu kernel-images | $(BUILD)/deps-test.ok
	tools/run-tests kernels

## make test-durability  KILLS (200) SIGKILLs and CUTS (30) power cuts: nothing acknowledged, nothing flushed is lost
test-durability: export CUTS ?= 30
test-durability: $(BUILD)/toyvmm guests lab-images | $(BUILD)/deps-test.ok
	tools/run-tests durability

.PHONY: test test-unit test-guest test-lab test-kernels test-durability fuzz fuzz-targets guests check format

# Units: one program, every room, sanitized.
UNIT_SRC := $(sort $(wildcard tests/unit/*.c tests/unit/*/*.c tests/fake/*.c))
UNIT_OBJ := $(ROOMS:%.c=$(BUILD)/san/%.o) $(UNIT_SRC:%.c=$(BUILD)/san/%.o)
$(BUILD)/unit: $(UNIT_OBJ)
	$(SAY) LINK $@
	$(CC) $(SAN) -g -pthread -o $@ $^ $(shell $(PKG_SHARED) --libs $(LIBS) $(TEST_LIBS)) $(EXTRA_LIBS)

# The program itself, sanitized: for the tests of wrong input.
$(BUILD)/toyvmm-san: $(SRC:%.c=$(BUILD)/san/%.o)
	$(SAY) LINK $@
	$(CC) $(SAN) -g -pthread -o $@ $^ $(shell $(PKG_SHARED) --libs $(LIBS)) $(EXTRA_LIBS)

$(BUILD)/san/%.o: %.c $(AML) Makefile mk/test.mk | $(BUILD)/deps-build.ok $(BUILD)/deps-test.ok
	mkdir -p $(@D)
	$(SAY) CC "$< (sanitized)"
	$(CC) $(CPPFLAGS) -Itests -Itests/unit $(CSTD) $(WARN) $(SAN) -O1 -g -MMD -MP -c -o $@ $<

# Fuzzers: one program a target, clang's libFuzzer.
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*_fuzz.c))
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%_fuzz.c=$(BUILD)/fuzz/%)
FUZZ_OBJ := $(ROOMS:%.c=$(BUILD)/fuzz/%.o) $(patsubst %.c,$(BUILD)/fuzz/%.o,$(wildcard tests/fake/*.c))
FUZZ_SECONDS ?= 60
fuzz-targets: $(FUZZERS)

## make fuzz        fuzz every target for FUZZ_SECONDS (60) each
fuzz: $(FUZZERS)
	for f in $(FUZZERS); do \
		mkdir -p $(BUILD)/fuzz/new/$$(basename $$f); \
		echo "== $$f"; \
		$$f -max_total_time=$(FUZZ_SECONDS) -timeout=1 -rss_limit_mb=1024 -print_final_stats=1 \
			-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/new/$$(basename $$f) \
			tests/fuzz/corpus/$$(basename $$f) || exit 1; \
	done

$(BUILD)/fuzz/%: tests/fuzz/%_fuzz.c $(FUZZ_OBJ)
	mkdir -p $(@D)
	$(SAY) FUZZ $@
	$(CLANG) $(CPPFLAGS) -Itests -Itests/unit $(CSTD) $(SAN) -fsanitize=fuzzer -O1 -g -o $@ $^ \
		$(shell $(PKG_SHARED) --libs $(LIBS)) $(EXTRA_LIBS)

$(BUILD)/fuzz/%.o: %.c $(AML) Makefile mk/test.mk | $(BUILD)/deps-build.ok $(BUILD)/deps-test.ok
	mkdir -p $(@D)
	$(SAY) CC "$< (for fuzzing)"
	$(CLANG) $(CPPFLAGS) -Itests $(CSTD) $(SAN) -fsanitize=fuzzer-no-link -O1 -g -MMD -MP -c -o $@ $<

-include $(UNIT_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d)

# A device for tests and the tour: an NVMe controller in a process, by vfio-user.
VFIO_USER_SRC := $(wildcard tests/vfio_user/*.c) tests/fake/vfio_user.c src/base/io.c
VFIO_USER_HDR := $(wildcard tests/vfio_user/*.h) tests/fake/vfio_user.h src/passthru/user_wire.h
$(BUILD)/vfio-user-nvme: $(VFIO_USER_SRC) $(VFIO_USER_HDR) | $(BUILD)/deps-build.ok
	$(SAY) LINK $@
	$(CC) $(CPPFLAGS) -Itests $(CSTD) $(WARN) $(CFLAGS) -o $@ $(VFIO_USER_SRC)

# Bare-metal guests: a 64-bit ELF of a few dozen lines each.
GUEST_SRC := $(sort $(wildcard tests/guest/*.c))
GUEST_LIB := $(wildcard tests/guest/lib*.c)
# Parts of a program: those of hostile.elf.
GUEST_PARTS := $(wildcard tests/guest/hostile_*.c)
GUESTS    := $(patsubst tests/guest/%.c,$(BUILD)/guest/%.elf,$(filter-out $(GUEST_LIB) $(GUEST_PARTS),$(GUEST_SRC)))
GUEST_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -O1 -ffreestanding -fno-pic -no-pie -nostdlib -static \
	-mno-red-zone -mgeneral-regs-only -ffunction-sections -Wl,--gc-sections -fno-stack-protector -fcf-protection=none -mcmodel=small
guests: $(GUESTS)
$(BUILD)/guest/hostile.elf: $(GUEST_PARTS)
$(BUILD)/guest/%.elf: tests/guest/%.c $(GUEST_LIB) $(wildcard tests/guest/*.S tests/guest/*.ld tests/guest/*.h)
	mkdir -p $(@D)
	$(SAY) GUEST $@
	gcc $(GUEST_CFLAGS) -Wl,--build-id=none -Wl,-T,tests/guest/guest.ld -o $@ \
		tests/guest/start.S $(filter %.c,$^)

## make check       clang-format, layers, shellcheck, documentation
check: $(BUILD)/toyvmm | $(BUILD)/deps-test.ok
	tools/check-layers
	tools/check-style
	BUILD=$(BUILD) tools/check-docs

## make format      clang-format everything in place
format:
	git ls-files -co --exclude-standard '*.[ch]' | xargs clang-format -i
