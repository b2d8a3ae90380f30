# SPDX-License-Identifier: Apache-2.0
"""The outer machine's side of lab/tour and bench/passthru: its disk and its network card, who has them, and the guests
that are booted with them. The guest's side is lab/tour-guest."""
import glob
import os
import re
import resource
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
KERNEL, INITRD = f"{BUILD}/images/vmlinux", "/dev/shm/tour-initrd.img"
NVME, NIC, WIRE = "0000:00:10.0", "0000:00:15.0", "0000:00:1a.0"
DISK = "/dev/nvme0n1"
COUNTERS = ("exits", "irq_exits", "halt_exits", "io_exits", "mmio_exits")


class Missing(Exception):
    """This path cannot be shown here; the text says why."""


def run(*words, check=True, **more):
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=60, **more)


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not glob.glob(what):
        if time.monotonic() > end:
            raise Missing(f"{what} did not appear")
        time.sleep(0.1)
    return glob.glob(what)[0]


def bind(bdf, driver):
    """To a driver by name, or back to the host's own by None."""
    device = f"/sys/bus/pci/devices/{bdf}"
    write(f"{device}/driver_override", (driver or "") + "\n")
    if os.path.exists(f"{device}/driver"):
        write(f"{device}/driver/unbind", bdf)
    write("/sys/bus/pci/drivers_probe", bdf)
    if driver and os.path.basename(os.path.realpath(f"{device}/driver")) != driver:
        raise Missing(f"{driver} does not take {bdf}")


def load(*modules):
    if run("modprobe", "-a", *modules, check=False).returncode != 0:
        raise Missing(f"no module {' or '.join(modules)} in the outer machine's kernel")


def nic_name(bdf):
    return os.path.basename(wait_for(f"/sys/bus/pci/devices/{bdf}/virtio*/net/*"))


def host_disk():
    """The host's own driver has the NVMe disk; others get at it as a block device."""
    bind(NVME, None)
    wait_for(DISK)


def tap():
    """The host's own driver has the card; a bridge joins it with a tap."""
    bind(NIC, None)
    name = nic_name(NIC)
    for words in ("link add tour type bridge", "tuntap add tour0 mode tap vnet_hdr", f"link set {name} master tour",
                  "link set tour0 master tour", f"link set {name} up", "link set tour0 up", "link set tour up"):
        run("ip", *words.split())


def no_tap():
    for name in ("tour0", "tour"):
        run("ip", "link", "del", name, check=False)


def serve(words, socket):
    """A back end in a process of its own."""
    if not os.access(words[0], os.X_OK):
        raise Missing(f"no {words[0]}")
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(socket)
    except Missing:
        process.kill()
        raise
    return process


def storage_daemon(socket):
    """The command that serves the disk as a vhost-user device."""
    return ["/usr/bin/qemu-storage-daemon", "--blockdev",
            f"driver=host_device,node-name=d,filename={DISK},cache.direct=on", "--export",
            f"type=vhost-user-blk,id=e,addr.type=unix,addr.path={socket},node-name=d,writable=on"]


def counters():
    return {name: int(open(f"/sys/kernel/debug/kvm/{name}", encoding="ascii").read()) for name in COUNTERS}


def processor_time(pid):
    """Seconds of all threads of a process."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def loop_time(pid):
    """The part of toyvmm's time that is not the guest's: its first thread serves the event loop."""
    with open(f"/proc/{pid}/task/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def boot(command, server=None, env=None):
    """Runs a VMM whose guest is lab/tour-guest, to its end: {workload: {figure: value}}. `server` is the device's process."""
    found, before = {}, {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", env=env) as vm:
        patience = threading.Timer(120, vm.kill)
        patience.start()
        done = False
        for line in vm.stdout:
            word = line.split()
            if line.startswith("BEGIN"):
                before = counters() | {"loop": loop_time(vm.pid), "time": time.monotonic()}
                before["server"] = processor_time(server.pid) if server else 0
            elif line.startswith("END") and len(word) == 5:
                found[word[1]] = {
                    "first": float(word[2]), "second": float(word[3]), "interrupts": int(word[4]),
                    "exits": counters()["exits"] - before["exits"], "loop": loop_time(vm.pid) - before["loop"],
                    "server": (processor_time(server.pid) if server else 0) - before["server"],
                    "time": time.monotonic() - before["time"]}
            elif line.startswith("SUM"):
                found["sum"] = word[1]
            elif line.startswith("DONE"):
                done = True
                break
            elif line.strip() and not re.match(r"\x1b|SeaBIOS|\[ .*PCI: Fatal", line):
                print(f"   {os.path.basename(command[0])}: {line.rstrip()}", flush=True)
        if done and "qemu" in command[0]:
            vm.kill()  # "poweroff -f" halts its machine
        vm.wait()
        patience.cancel()
    if not done:
        raise Missing("no end after two minutes" if vm.returncode == -9 else f"{command[0]} ended early")
    return found


def set_up():
    """The outer machine's side: an initrd with the guest's program, the wire's other end in a network of its own."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)) # for vDPA's and VFIO's DMA
    with open(INITRD, "wb") as out:
        run("mkdir", "-p", "/dev/shm/tree/bin")
        run("cp", f"{ROOT}/lab/tour-guest", "/dev/shm/tree/tour")
        run("gcc", "-O2", "-static", "-o", "/dev/shm/tree/bin/rr", f"{ROOT}/bench/rr.c")
        out.write(open(f"{BUILD}/images/test-initrd.img", "rb").read())
        out.write(subprocess.run("cd /dev/shm/tree && find . | cpio -o -H newc --quiet", shell=True, check=True,
                                 stdout=subprocess.PIPE).stdout)
    run("mount", "-t", "debugfs", "debug", "/sys/kernel/debug", check=False)
    load("nvme", "virtio_net", "af_packet", "tun", "bridge")
    name = nic_name(WIRE)
    for words in ("netns add far", f"link set {name} netns far", f"-n far addr add 10.99.0.1/24 dev {name}",
                  f"-n far link set {name} up", "-n far link set lo up"):
        run("ip", *words.split())
    # Something to read that is the same on every path.
    bind(NVME, None)
    wait_for(DISK)
    with open(DISK, "r+b") as disk:
        for number in range(64):
            disk.write(bytes([number]) * (1 << 20))
    far = ["ip", "netns", "exec", "far"]
    return [subprocess.Popen([*far, "iperf3", "-s"], stdout=subprocess.DEVNULL),
            subprocess.Popen([*far, "/dev/shm/tree/bin/rr", "listen", "7001"])]
