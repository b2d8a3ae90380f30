# SPDX-License-Identifier: Apache-2.0
# The guest's kernel and initrd, made from Debian's packages below $(BUILD): see images/fetch-kernel and images/mkinitrd.
#
# $(IMAGES)/SUITE/ has vmlinuz, vmlinux (the same, unpacked) and initrd.img of that Debian suite's kernel. The suite
# "default" is that of this system; its files stand in $(IMAGES)/ as well.

IMAGES := $(BUILD)/images
ROOTFS := $(shell find images/rootfs images/test -type f)

## make run_linux   boot Linux to a login prompt on this terminal (root/root; Ctrl-A x quits)
.PHONY: run_linux
run_linux: $(BUILD)/toyvmm $(if $(and $(wildcard vmlinux.bin),$(wildcard initrd.img)),,images)
	@lab/can-run-linux >/dev/null || $(MAKE) --no-print-directory lab-images $(IMAGES)/vmlinux
	@BUILD=$(BUILD) images/run-linux

## make images      the guest's kernel and initrd
.PHONY: images
images: $(IMAGES)/vmlinuz $(IMAGES)/initrd.img

$(IMAGES)/vmlinuz $(IMAGES)/vmlinux $(IMAGES)/initrd.img: $(IMAGES)/%: $(IMAGES)/default/%
	@ln -f $< $@

# Fetched once: `make clean` and again gets the newest.
.PRECIOUS: $(IMAGES)/%/kernel.ok
$(IMAGES)/%/kernel.ok: | $(BUILD)/deps-images.ok
	@BUILD=$(BUILD) images/fetch-kernel linux-image-cloud-amd64 $(@D)/kernel $*
	@touch $@

$(IMAGES)/%/vmlinuz: $(IMAGES)/%/kernel.ok
	@ln -f $(@D)/kernel/vmlinuz $@ && touch $@

$(IMAGES)/%/vmlinux: $(IMAGES)/%/vmlinuz images/unpack-kernel
	@echo '  UNPACK  $@'
	@images/unpack-kernel $< $@

$(IMAGES)/%/initrd.img: $(IMAGES)/%/kernel.ok images/mkinitrd images/modules.sh $(ROOTFS)
	@echo '  INITRD  $@'
	@images/mkinitrd $(@D)/kernel $@

# The guest of the lab's tests: the same, and tools of this system (fio, iperf3, e2fsprogs and more).
$(IMAGES)/tools.img: images/mktools | $(BUILD)/deps-build.ok $(BUILD)/deps-images.ok $(BUILD)/deps-test.ok
	@echo '  INITRD  $@'
	@images/mktools $@

$(IMAGES)/test-initrd.img: $(IMAGES)/initrd.img $(IMAGES)/tools.img
	@cat $^ >$@.tmp && mv $@.tmp $@

# A guest that is given real devices: the cloud kernel above knows no e1000e, so this is for the kernel that the lab's
# outer machine has, $(BUILD)/lab/vmlinux.
$(IMAGES)/hardware.img: $(BUILD)/lab/default/kernel.ok images/mkinitrd images/modules.sh $(ROOTFS) | $(BUILD)/deps-images.ok
	@echo '  INITRD  $@'
	@images/mkinitrd $(<D)/kernel $@

$(IMAGES)/hardware-initrd.img: $(IMAGES)/hardware.img $(IMAGES)/tools.img
	@cat $^ >$@.tmp && mv $@.tmp $@

# A guest with DPDK's own driver for virtio-net.
$(IMAGES)/dpdk.img: images/mkdpdk images/mktools images/apt.sh | $(BUILD)/deps-build.ok $(BUILD)/deps-images.ok $(BUILD)/deps-test.ok
	@echo '  INITRD  $@'
	@BUILD=$(BUILD) images/mkdpdk $@

$(IMAGES)/dpdk-initrd.img: $(IMAGES)/initrd.img $(IMAGES)/dpdk.img
	@cat $^ >$@.tmp && mv $@.tmp $@

## make run_disk    boot Debian from a disk image with a network (root/root); what is written there stays
.PHONY: run_disk
run_disk: $(BUILD)/toyvmm images $(BUILD)/disk/debian.img
	@lab/can-run-linux >/dev/null || $(MAKE) --no-print-directory lab-images $(IMAGES)/vmlinux
	@BUILD=$(BUILD) images/run-disk

# Made once, for it holds what the user wrote: `make clean-disk` starts over.
$(BUILD)/disk/debian.img: | $(IMAGES)/default/kernel.ok $(BUILD)/deps-disk.ok
	@BUILD=$(BUILD) images/mkdisk $(IMAGES)/default/kernel $@

## make clean-disk  remove that disk image, with all that is on it
.PHONY: clean-disk
clean-disk:
	rm -rf $(BUILD)/disk

# The kernels of `make test-kernels`: Debian 12's, the newest one built for Debian 12, and the newest of all.
KERNEL_SUITES := default bookworm-backports trixie-backports
KERNEL_IMAGES := $(foreach suite,$(KERNEL_SUITES),$(addprefix $(IMAGES)/$(suite)/,vmlinuz vmlinux initrd.img))

## make kernel-images   kernels and initrds of every suite that test-kernels boots
.PHONY: kernel-images
kernel-images: $(KERNEL_IMAGES)
