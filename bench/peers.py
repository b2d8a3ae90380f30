# SPDX-License-Identifier: Apache-2.0
"""The VMMs that are compared: which are installed, and the command line of each for the same machine."""
import dataclasses
import json
import os
import shutil
import subprocess
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
TAP = f"tvb{os.getpid()}"


@dataclasses.dataclass
class Machine:
    """What every VMM is asked for. Memory in MiB; kernel is an ELF file unless bzimage says it is not."""
    kernel: str
    memory: int = 128
    cpus: int = 1
    disks: list = dataclasses.field(default_factory=list)
    tap: str = ""
    initrd: str = ""
    cmdline: str = "console=ttyS0"
    bzimage: bool = False


def toyvmm(m, transport="pci"):
    words = [f"{BUILD}/toyvmm", "run", "--quiet", "--kernel", m.kernel, "--memory", f"{m.memory}M", "--cpus", str(m.cpus),
             "--transport", transport, "--cmdline", m.cmdline]
    for disk in m.disks:
        words += ["--disk", disk]
    return words + (["--net", f"tap={m.tap}"] if m.tap else []) + (["--initrd", m.initrd] if m.initrd else [])


def qemu_cpu():
    """Some paravirtual KVMs refuse an MSR that QEMU sets for "host"."""
    if "QEMU_CPU" not in os.environ:
        p = subprocess.run(["qemu-system-x86_64", "-M", "microvm", "-accel", "kvm", "-cpu", "host", "-nodefaults", "-display",
                            "none", "-monitor", "stdio"], input=b"quit\n", capture_output=True, timeout=30, check=False)
        os.environ["QEMU_CPU"] = "host" if p.returncode == 0 else "host,-arch-capabilities"
    return os.environ["QEMU_CPU"]


def qemu(m, machine, bus):
    words = ["qemu-system-x86_64", "-accel", "kvm", "-M", machine, "-cpu", qemu_cpu(), "-m", str(m.memory), "-smp", str(m.cpus),
             "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
             "-device", "isa-debug-exit,iobase=0xf4", "-kernel", m.kernel, "-append", m.cmdline]
    for n, disk in enumerate(m.disks):
        words += ["-drive", f"file={disk},format=raw,if=none,id=d{n},aio=io_uring,cache=writeback",
                  "-device", f"virtio-blk-{bus},drive=d{n}"]
    if m.tap:
        words += ["-netdev", f"tap,id=n,ifname={m.tap},script=no,downscript=no,vhost=off", "-device", f"virtio-net-{bus},netdev=n"]
    return words + (["-initrd", m.initrd] if m.initrd else [])


def microvm(m):
    words = qemu(m, "microvm,acpi=off,pit=off,pic=off,rtc=off,auto-kernel-cmdline=off,x-option-roms="
                 + ("on" if m.bzimage else "off"), "device")
    return words + ["-global", "virtio-mmio.force-legacy=false"]


def firecracker(m):
    config = {"boot-source": {"kernel_image_path": m.kernel, "boot_args": m.cmdline},
              "machine-config": {"vcpu_count": m.cpus, "mem_size_mib": m.memory},
              "drives": [{"drive_id": f"d{n}", "path_on_host": disk, "is_root_device": False}
                         for n, disk in enumerate(m.disks)]}
    if m.initrd:
        config["boot-source"]["initrd_path"] = m.initrd
    if m.tap:
        config["network-interfaces"] = [{"iface_id": "n", "host_dev_name": m.tap}]
    text = json.dumps(config)
    with open(f"{BUILD}/bench/firecracker-{zlib.crc32(text.encode()):08x}.json", "w", encoding="utf-8") as out:
        out.write(text)
    return ["firecracker", "--no-api", "--level", "Error", "--config-file", out.name] # its log goes where the serial port goes


def cloud_hypervisor(m):
    words = ["cloud-hypervisor", "--kernel", m.kernel, "--memory", f"size={m.memory}M", "--cpus", f"boot={m.cpus}", "--serial",
             "tty", "--console", "off", "--cmdline", m.cmdline]
    if m.disks:
        words += ["--disk", *[f"path={disk}" for disk in m.disks]]
    return words + (["--net", f"tap={m.tap}"] if m.tap else []) + (["--initramfs", m.initrd] if m.initrd else [])


def lkvm(m):
    words = ["lkvm", "run", "-k", m.kernel, "-m", str(m.memory), "-c", str(m.cpus), "--console", "serial", "-p", m.cmdline,
             "--network", f"mode=tap,tapif={m.tap}" if m.tap else "mode=none"]
    for disk in m.disks:
        words += ["-d", disk]
    return words + (["-i", m.initrd] if m.initrd else [])


@dataclasses.dataclass
class Vmm:
    program: str
    command: object
    kernels: tuple = ("elf", "bzimage")


VMMS = {
    "toyvmm": Vmm(f"{BUILD}/toyvmm", toyvmm),
    "toyvmm mmio": Vmm(f"{BUILD}/toyvmm", lambda m: toyvmm(m, "mmio")),
    "QEMU microvm": Vmm("qemu-system-x86_64", microvm),
    "QEMU q35": Vmm("qemu-system-x86_64", lambda m: qemu(m, "q35", "pci,disable-legacy=on")),
    "Firecracker": Vmm("firecracker", firecracker, ("elf",)),
    "Cloud Hypervisor": Vmm("cloud-hypervisor", cloud_hypervisor),
    "kvmtool": Vmm("lkvm", lkvm, ("bzimage",)),
}


def found(names, kernel="elf"):
    """Those of the names that are installed and load such a kernel."""
    return [n for n in names if shutil.which(VMMS[n].program) and kernel in VMMS[n].kernels]


def missing():
    return sorted({n for n, v in VMMS.items() if not shutil.which(v.program)})


class Tap:
    """A tap with an address for the time of a `with`; its name, or "" where it may not be made."""

    def __enter__(self):
        made = subprocess.run(["ip", "tuntap", "add", "dev", TAP, "mode", "tap", "vnet_hdr"], stderr=subprocess.DEVNULL, check=False)
        self.name = TAP if made.returncode == 0 else ""
        if self.name:
            subprocess.run(["ip", "addr", "add", "10.98.0.1/24", "dev", TAP], check=True)
            subprocess.run(["ip", "link", "set", TAP, "up"], check=True)
        return self.name

    def __exit__(self, *_):
        if self.name:
            subprocess.run(["ip", "link", "del", TAP], check=False)
