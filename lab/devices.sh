# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# PCI devices of the outer machine that are there to be passed on: `lab/run --device NAME`. Source this file.
#
# Each sits behind the virtual IOMMU at an address of its own, in a group of its own. The network cards are all on one
# wire (a QEMU hub), and so is the outer machine's own end of it, a virtio-net card at 00:1a.0.

# shellcheck disable=SC2034 # for who sources this
lab_device_names="nvme nvme2 e1000e edu testdev virtio-net virtio-blk shared slot"

# lab_rom FILE: an expansion ROM of 64 KiB (PCI Firmware Specification, 5.1): its header, the data structure that ends the list of
# images, and words. Its checksum is wrong, so that no firmware runs it.
lab_rom() {
  { printf '\x55\xaa' && printf '\0%.0s' {1..22} && printf '\x1c\0\0\0PCIR' && printf '\0\0\0\0\0\0\x18\0\0\0\0\0'
    printf '\x80\0\0\0\0\x80\0\0an expansion ROM of the lab'; } >"$1"
  truncate -s 64K "$1"
}

# lab_device NAME DIRECTORY: prints QEMU's arguments, one a line. A disk is an empty sparse file in DIRECTORY.
lab_device() {
  local name=$1 file=$2/$1.img through_iommu=disable-legacy=on,iommu_platform=on,ats=on,romfile=
  case $name in
    nvme | nvme2 | virtio-blk)
      truncate -s 256M "$file"
      printf '%s\n' -drive "file=$file,format=raw,if=none,id=$name,cache=unsafe,discard=unmap"
      ;;
  esac
  case $name in
    nvme) printf '%s\n' -device "nvme,addr=10,drive=$name,serial=$name" ;;
    nvme2) printf '%s\n' -device "nvme,addr=11,drive=$name,serial=$name" ;;
    e1000e)
      lab_rom "$2/$name.rom"
      printf '%s\n' -netdev "hubport,id=$name,hubid=0" -device "e1000e,addr=12,netdev=$name,romfile=$2/$name.rom"
      ;;
    edu) printf '%s\n' -device edu,addr=13 ;;
    testdev) printf '%s\n' -device pci-testdev,addr=14,membar=64K ;;
    virtio-net)
      printf '%s\n' -netdev "hubport,id=$name,hubid=0" -device "virtio-net-pci,addr=15,netdev=$name,$through_iommu"
      ;;
    virtio-blk) printf '%s\n' -device "virtio-blk-pci,addr=16,drive=$name,${through_iommu%,romfile=}" ;;
    shared) printf '%s\n' -device edu,addr=17.0,multifunction=on -device pci-testdev,addr=17.1 ;; # functions share a group
    slot) # two functions, neither of which can be reset alone, behind a port that can reset both
      printf '%s\n' -device pcie-root-port,id=behind,addr=18,chassis=1 -device edu,bus=behind,addr=0.0,multifunction=on \
        -netdev "hubport,id=slot,hubid=0" -device "e1000,bus=behind,addr=0.1,netdev=slot,romfile="
      ;;
    *) return 1 ;;
  esac
}

# The outer machine's own end of the wire.
lab_wire() {
  printf '%s\n' -netdev hubport,id=wire,hubid=0 -device "virtio-net-pci,addr=1a,netdev=wire,romfile="
}
