# SPDX-License-Identifier: Apache-2.0
"""The host's side of passthrough tests, in the lab's outer machine: devices bound, made and served (docs/lab.md).

PCI devices are there with `lab/run --device NAME,...`; vDPA and mdev need the kernel of `make lab-next`.
"""
import json
import os
import subprocess
import uuid

from nets import tool, until
from vm import BUILD, TEST_INITRD, TOYVMM, Terminal

# The kernel of the lab's outer machine, as a guest's: it has the drivers of real hardware, e1000e included.
HARDWARE_ELF = os.path.join(BUILD, "lab", "vmlinux")
HARDWARE_INITRD = os.path.join(BUILD, "images", "hardware-initrd.img")

# lab/devices.sh
NVME, NVME2, E1000E = "0000:00:10.0", "0000:00:11.0", "0000:00:12.0"
EDU, TESTDEV = "0000:00:13.0", "0000:00:14.0"
VIRTIO_NET, VIRTIO_BLK = "0000:00:15.0", "0000:00:16.0"
SHARED_EDU, SHARED_TESTDEV = "0000:00:17.0", "0000:00:17.1"
SLOT_EDU, SLOT_E1000 = "0000:01:00.0", "0000:01:00.1"
WIRE = "0000:00:1a.0"

PCI = "/sys/bus/pci"
MDEV = "/sys/bus/mdev/devices"
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def driver(bdf):
    """The name of the driver that has the device, or None."""
    link = f"{PCI}/devices/{bdf}/driver"
    return os.path.basename(os.readlink(link)) if os.path.exists(link) else None


def bind(bdf, name="vfio-pci"):
    """Takes a device from its driver and gives it to another; "" is the kernel's choice. VFIO's group, where it has one."""
    modules = {"vfio-pci": ("vfio_pci", "vfio_iommu_type1"), "vp-vdpa": ("vp_vdpa", "vhost_vdpa")}
    if name in modules:
        tool("modprobe", "-a", *modules[name])
    write(f"{PCI}/devices/{bdf}/driver_override", f"{name}\n")
    if driver(bdf):
        write(f"{PCI}/devices/{bdf}/driver/unbind", bdf)
    write(f"{PCI}/drivers_probe", bdf)
    if name:
        assert driver(bdf) == name, f"{bdf}: driver {driver(bdf)}, not {name}"
    return group(bdf)


def group(bdf):
    """The device node of a device's IOMMU group, None without an IOMMU. It exists while vfio-pci has the device."""
    link = f"{PCI}/devices/{bdf}/iommu_group"
    return f"/dev/vfio/{os.path.basename(os.readlink(link))}" if os.path.exists(link) else None


def wire(address):
    """Gives the outer machine's end of the wire, at whose other ends the network cards are, an address with its prefix."""
    tool("modprobe", "-a", "virtio_net", "af_packet")
    bound = f"{PCI}/devices/{WIRE}"
    name = next(os.listdir(f"{bound}/{entry}/net")[0] for entry in os.listdir(bound) if entry.startswith("virtio"))
    tool("ip", "addr", "replace", address, "dev", name)
    tool("ip", "link", "set", name, "up")
    return name


def mdev(parent="mtty", kind="mtty-2"):
    """Makes a mediated device (parent mdpy: kinds mdpy-vga, mdpy-xga, mdpy-hd). Its path, for --vfio."""
    tool("modprobe", "-a", parent, "vfio_iommu_type1")
    name = str(uuid.uuid4())
    write(f"/sys/class/mdev_bus/{parent}/mdev_supported_types/{kind}/create", name)
    return f"{MDEV}/{name}"


def remove_mdev(path):
    write(f"{path}/remove", "1")


def vdpa(name, source):
    """Makes a vDPA device. Its node, /dev/vhost-vdpa-N."""
    tool("modprobe", "vhost_vdpa")
    tool("vdpa", "dev", "add", "name", name, "mgmtdev", source)
    return vdpa_node(name)


def vdpa_node(name):
    entries = os.listdir(f"/sys/bus/vdpa/devices/{name}")
    return "/dev/" + next(entry for entry in entries if entry.startswith("vhost-vdpa-"))


def vdpa_sim(name, kind):
    """A simulated vDPA device: kind net (it returns what is sent to it) or blk (a RAM disk)."""
    tool("modprobe", f"vdpa_sim_{kind}")
    return vdpa(name, f"vdpasim_{kind}")


def vp_vdpa(name, bdf):
    """A virtio PCI device, VIRTIO_NET or VIRTIO_BLK, as a vDPA device."""
    bind(bdf, "vp-vdpa")
    return vdpa(name, f"pci/{bdf}")


def remove_vdpa(name):
    tool("vdpa", "dev", "del", name)


def vdpa_devices():
    return json.loads(tool("vdpa", "-j", "dev", "show"))["dev"]


class Daemon:
    """A process that serves a device. `ready` says when it does."""

    def __init__(self, words, ready):
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)

        def come_up():
            assert self.process.poll() is None, f"{words[0]} ended with {self.process.returncode}"
            return ready()
        until(come_up, f"{words[0]} is ready")

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def blockdev(image, image_format):
    return ["--blockdev", f"driver=file,filename={image},node-name=file",
            "--blockdev", f"driver={image_format},file=file,node-name=disk"]


class VhostUserBlk(Daemon):
    """qemu-storage-daemon with a raw or qcow2 image at a vhost-user-blk socket."""

    def __init__(self, image, socket, image_format="raw", queues=1):
        super().__init__(["qemu-storage-daemon", *blockdev(image, image_format), "--export",
                          "type=vhost-user-blk,id=export,node-name=disk,writable=on,"
                          f"addr.type=unix,addr.path={socket},num-queues={queues}"],
                         lambda: os.path.exists(socket))


class Vduse(Daemon):
    """qemu-storage-daemon with an image as a VDUSE device: `node` is its /dev/vhost-vdpa-N."""

    def __init__(self, name, image, image_format="raw", queues=1):
        tool("modprobe", "-a", "vduse", "vhost_vdpa")
        self.name = name
        self.words = ["qemu-storage-daemon", *blockdev(image, image_format), "--export",
                      f"type=vduse-blk,id=export,name={name},node-name=disk,writable=on,num-queues={queues}"]
        super().__init__(self.words, lambda: os.path.exists(f"/dev/vduse/{name}"))
        self.node = vdpa(name, "vduse")

    def again(self):
        """After kill(): another process takes the device over, with the requests that the first one has left."""
        super().__init__(self.words, lambda: True)

    def give_up_after(self, seconds):
        """How long the kernel waits for the process, when it has something to ask."""
        write(f"/sys/class/vduse/{self.name}/msg_timeout", str(seconds))

    def stop(self):
        """The vDPA device goes first: the daemon cannot end while it is there."""
        remove_vdpa(self.name)
        super().stop()


class Virtiofsd(Daemon):
    """virtiofsd with a folder at a vhost-user socket."""

    def __init__(self, folder, socket, *options):
        super().__init__([VIRTIOFSD, f"--socket-path={socket}", "-o", f"source={folder}", *options],
                         lambda: os.path.exists(socket))


class Passt(Daemon):
    """passt at a stream socket: frames with a 32-bit big-endian length before each. It ends with its first client.

    It stays root: as nobody it cannot make its socket in a folder of the tests', and does not say so but ends.
    """

    def __init__(self, socket, *options):
        super().__init__(["passt", "--foreground", "--quiet", "--one-off", "--runas", "0", "--socket", socket, *options],
                         lambda: os.path.exists(socket))


def start(*devices, options=(), initrd=TEST_INITRD, **more):
    """A guest with these devices of the host's, by VFIO."""
    return Terminal(*[word for device in devices for word in ("--vfio", device)], *options, initrd=initrd, **more)


def refused(*devices, words=(), **more):
    """The one line that toyvmm says when it does not take the devices; it must end with 1."""
    words = [*words, *[word for device in devices for word in ("--vfio", device)]]
    done = subprocess.run([TOYVMM, "run", "--kernel", f"{BUILD}/guest/hello.elf", "--serial", "none", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False, **more)
    assert done.returncode == 1 and done.stdout == "", done
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def check(device, works, **more):
    """The report of `toyvmm vfio check`, one blank instead of several; its verdict must be `works`."""
    done = subprocess.run([TOYVMM, "vfio", "check", device], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=100, check=False, **more)
    assert done.returncode == (0 if works else 1) and done.stderr == "", done
    return "\n".join(" ".join(line.split()) for line in done.stdout.splitlines())


def interrupts(guest, name):
    """How many interrupts of the name a guest has had, of all vectors and CPUs."""
    lines = guest.ok(f"grep {name} /proc/interrupts").splitlines()
    return sum(int(word) for line in lines for word in line.split()[1:] if word.isdigit())


def power_off(guest):
    guest.send("poweroff -f\r")
    assert guest.end() == 0


def check_disk(vm, disk="/dev/vda"):
    """A file system with a file whose checksum is the same once nothing is cached."""
    vm.ok(f"mkfs.ext4 -q -F {disk} 24M && mkdir -p /mnt && mount {disk} /mnt")
    vm.ok("dd if=/dev/urandom of=/mnt/file bs=64k count=64 2>/dev/null && md5sum /mnt/file >/tmp/sum")
    vm.ok("umount /mnt && echo 3 >/proc/sys/vm/drop_caches")
    vm.ok(f"e2fsck -fn {disk} && mount {disk} /mnt && md5sum -c /tmp/sum && umount /mnt")


AGAIN = ("for i in $(seq {times}); do echo {device} >/sys/bus/virtio/drivers/{driver}/unbind && "
         "echo {device} >/sys/bus/virtio/drivers/{driver}/bind || exit 1; done")


def driver_comes_and_goes(vm, device, driver, times):
    vm.ok(f"({AGAIN.format(times=times, device=device, driver=driver)})")
