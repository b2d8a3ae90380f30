# SPDX-License-Identifier: Apache-2.0
# Figures (docs/performance.md). Nothing here is part of the tests: times are never asserted.

## make bench       boot time in the deterministic lab, memory beyond guest RAM
.PHONY: bench guest-kernel
bench: $(BUILD)/toyvmm $(IMAGES)/vmlinux guests lab-images
	bench/boot
	bench/memory

## make bench-io    disk and network of Linux guests in the lab, beside QEMU (ten minutes)
.PHONY: bench-io
bench-io: $(BUILD)/toyvmm $(IMAGES)/vmlinux $(IMAGES)/test-initrd.img lab-images
	bench/io

## make guest-kernel  a small guest kernel from Debian's linux-source (ten minutes), for make bench
guest-kernel: $(IMAGES)/guest-vmlinux
$(IMAGES)/guest-vmlinux: images/build-kernel images/guest-kernel.config | $(BUILD)/deps-kernel.ok
	BUILD=$(BUILD) images/build-kernel $@
