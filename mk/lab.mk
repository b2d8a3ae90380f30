# SPDX-License-Identifier: Apache-2.0
# The nested lab (docs/lab.md): an emulated machine whose /dev/kvm runs stock Linux, wherever this one's does not.

LAB := $(BUILD)/lab

## make lab-images  the outer machine's kernel and initramfs
.PHONY: lab-images
lab-images: $(LAB)/vmlinux $(LAB)/initramfs.cpio

$(LAB)/kernel.ok: | $(BUILD)/deps-lab.ok
	@BUILD=$(BUILD) images/fetch-kernel linux-image-amd64 $(LAB)/kernel
	@touch $@

$(LAB)/vmlinux: $(LAB)/kernel.ok images/unpack-kernel
	@echo '  UNPACK  $@'
	@images/unpack-kernel $(LAB)/kernel/vmlinuz $@

$(LAB)/initramfs.cpio: $(LAB)/kernel.ok lab/mkouter lab/outer-init images/modules.sh
	@echo '  INITRD  $@'
	@lab/mkouter $(LAB)/kernel $@

## make lab-shell   a shell in the outer machine
.PHONY: lab-shell
lab-shell: lab-images
	@lab/run -i -- bash

## make lab-qemu    QEMU 11.1 for the lab: kernels from 6.12 need it
.PHONY: lab-qemu
lab-qemu: $(LAB)/qemu-11.1/qemu
$(LAB)/qemu-11.1/qemu: | $(BUILD)/deps-lab.ok
	@BUILD=$(BUILD) lab/fetch-qemu $(@D) trixie-backports
	@touch $@

.PHONY: clean-lab
clean-lab:
	rm -rf $(LAB)
