# SPDX-License-Identifier: Apache-2.0
# The nested lab (docs/lab.md): an emulated machine whose /dev/kvm runs stock Linux, wherever this one's does not.
# $(LAB)/SUITE/ has vmlinux and initramfs.cpio of the outer machine with that Debian suite's kernel: `lab/run --kernel`
# takes such a directory. The suite "default" is that of this system; its files stand in $(LAB)/ as well.

LAB := $(BUILD)/lab

## make lab-images  the outer machine's kernel and initramfs
.PHONY: lab-images
lab-images: $(LAB)/vmlinux $(LAB)/initramfs.cpio

$(LAB)/vmlinux $(LAB)/initramfs.cpio: $(LAB)/%: $(LAB)/default/%
	@ln -f $< $@

.PRECIOUS: $(LAB)/%/kernel.ok
$(LAB)/%/kernel.ok: | $(BUILD)/deps-lab.ok
	@BUILD=$(BUILD) images/fetch-kernel linux-image-amd64 $(@D)/kernel $*
	@touch $@

$(LAB)/%/vmlinux: $(LAB)/%/kernel.ok images/unpack-kernel
	@echo '  UNPACK  $@'
	@images/unpack-kernel $(@D)/kernel/vmlinuz $@

$(LAB)/%/initramfs.cpio: $(LAB)/%/kernel.ok lab/mkouter lab/outer-init images/modules.sh
	@echo '  INITRD  $@'
	@lab/mkouter $(@D)/kernel $@

## make lab-next    an outer machine with a 6.12 kernel in $(LAB)/bookworm-backports: vDPA, mdev
.PHONY: lab-next
lab-next: $(LAB)/bookworm-backports/vmlinux $(LAB)/bookworm-backports/initramfs.cpio

$(LAB)/bookworm-backports/initramfs.cpio: $(LAB)/bookworm-backports/modules.ok

$(LAB)/bookworm-backports/modules.ok: $(LAB)/bookworm-backports/kernel.ok lab/build-modules | $(BUILD)/deps-lab.ok
	@BUILD=$(BUILD) lab/build-modules $(@D)/kernel bookworm-backports
	@touch $@

## make lab-iommufd  an outer machine in $(LAB)/iommufd whose kernel has iommufd, built from source (ten minutes)
.PHONY: lab-iommufd
lab-iommufd: $(LAB)/iommufd/vmlinux $(LAB)/iommufd/initramfs.cpio

$(LAB)/iommufd/vmlinux: images/build-kernel images/guest-kernel.config lab/iommufd.config | $(BUILD)/deps-kernel.ok $(BUILD)/deps-lab.ok
	@BUILD=$(BUILD) images/build-kernel $@ linux-source-6.12 lab/iommufd.config

$(LAB)/iommufd/initramfs.cpio: $(LAB)/iommufd/vmlinux lab/mkouter lab/outer-init images/modules.sh
	@echo '  INITRD  $@'
	@lab/mkouter $<.modules $@

## make tour        one disk and one network card, given to a guest by every path there is (four minutes, in the lab)
.PHONY: tour
tour: $(BUILD)/toyvmm $(BUILD)/vfio-user-nvme $(IMAGES)/vmlinux $(IMAGES)/test-initrd.img lab-next
	@BUILD=$(BUILD) lab/tour

## make lab-shell   a shell in the outer machine
.PHONY: lab-shell
lab-shell: lab-images
	@lab/run -i -- bash || true

## make lab-qemu    QEMU 11.1 for the lab: kernels from 6.12 need it
.PHONY: lab-qemu
lab-qemu: $(LAB)/qemu-11.1/qemu
$(LAB)/qemu-11.1/qemu: | $(BUILD)/deps-lab.ok
	@BUILD=$(BUILD) lab/fetch-qemu $(@D) trixie-backports
	@touch $@

.PHONY: clean-lab
clean-lab:
	rm -rf $(LAB)
