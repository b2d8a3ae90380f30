# SPDX-License-Identifier: Apache-2.0
# Figures (docs/performance.md). Nothing here is part of the tests but bench/guard: times are never asserted.

BENCH_GUESTS := $(patsubst %,$(BUILD)/bench/%,start.elf start.bzimage wait.elf exits.elf hold.elf $(patsubst %,start-%.elf,1 4 16 64))

## make bench       toyvmm beside every VMM found here: boot, start-up, exits, memory (BENCH="--long start" and so on)
.PHONY: bench guest-kernel bench-guests
bench: $(BUILD)/toyvmm $(IMAGES)/vmlinux lab-images bench-guests
	bench/run $(BENCH)

## make bench-guard  what a start and a boot cost, against bench/baseline.json: a part of make test
.PHONY: bench-guard
bench-guard: $(BUILD)/toyvmm $(IMAGES)/vmlinux lab-images bench-guests
	tools/run-tests cost

## make bench-io    disk and network of Linux guests in the lab, beside QEMU (ten minutes)
.PHONY: bench-io
bench-io: $(BUILD)/toyvmm $(IMAGES)/vmlinux $(IMAGES)/test-initrd.img lab-images
	bench/io

## make bench-passthru  an NVMe disk and a network card by VFIO, vhost-user, virtiofs, in the lab, beside QEMU (six minutes)
.PHONY: bench-passthru
bench-passthru: $(BUILD)/toyvmm $(IMAGES)/vmlinux $(IMAGES)/test-initrd.img lab-images $(BUILD)/bench/start.elf
	bench/passthru

bench-guests: $(BENCH_GUESTS) $(BUILD)/bench/disk.img
BENCH_GUEST = gcc $(GUEST_CFLAGS) -Itests/guest -Wl,--build-id=none -Wl,-T,tests/guest/guest.ld -o $@ tests/guest/start.S
$(BUILD)/bench/%.elf: bench/guest/%.c $(GUEST_LIB) $(wildcard tests/guest/*.S tests/guest/*.ld tests/guest/*.h bench/guest/*.h)
	mkdir -p $(@D)
	$(SAY) GUEST $@
	$(BENCH_GUEST) $< $(GUEST_LIB)

$(BUILD)/bench/start-%.elf: bench/guest/start.c bench/guest/pad.S $(GUEST_LIB)
	mkdir -p $(@D)
	$(SAY) GUEST $@
	$(BENCH_GUEST) -DPAD=$* $^

$(BUILD)/bench/start.bzimage: bench/guest/bzimage.S
	mkdir -p $(@D)
	gcc -c -o $@.o $<
	objcopy -O binary -j .text $@.o $@

$(BUILD)/bench/disk.img:
	mkdir -p $(@D)
	head -c 1M /dev/urandom >$@

## make guest-kernel  a small guest kernel from Debian's linux-source (ten minutes), for make bench
guest-kernel: $(IMAGES)/guest-vmlinux
$(IMAGES)/guest-vmlinux: images/build-kernel images/guest-kernel.config | $(BUILD)/deps-kernel.ok
	BUILD=$(BUILD) images/build-kernel $@
