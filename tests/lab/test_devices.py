# SPDX-License-Identifier: Apache-2.0
"""The devices that are neither disk nor network, with Linux's own drivers, on both transports: rng, console, vsock,
balloon."""
import hashlib
import os
import re
import socket
import threading
import time

import pytest

from vm import PATIENCE, TEST_INITRD, Terminal

BALLOON = 64
MEMORY = 512


def connect(path):
    """A host program's end of a Unix socket, as soon as somebody listens there."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(str(path))
    return s


def read_until(s, text):
    got = b""
    while text not in got:
        more = s.recv(65536)
        assert more, got
        got += more
    return got


def read_bytes(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(65536)
        assert more, len(got)
        got += more
    return got


def in_background(fn, *arguments):
    thread = threading.Thread(target=fn, args=arguments)
    thread.start()
    return thread


@pytest.fixture(name="vm", scope="module", params=["pci", "mmio"])
def vm_fixture(request, tmp_path_factory):
    where = tmp_path_factory.mktemp(request.param)
    options = ["--transport", request.param, "--rng", "--console", f"socket={where}/hvc0", "--console",
               f"socket={where}/data,name=org.toyvmm.data", "--vsock", f"cid=42,socket={where}/vsock", "--balloon",
               f"{BALLOON}M,stats=1,reporting"]
    with Terminal(*options, "--cpus", "2", initrd=TEST_INITRD, memory=f"{MEMORY}M") as vm:
        vm.where = where
        vm.shell()
        yield vm
        vm.send("poweroff\r")
        assert vm.end() == 0


def test_rng_gives_random_bytes(vm):
    assert vm.ok("cat /sys/class/misc/hw_random/rng_current").startswith("virtio_rng")
    assert vm.ok("head -c 100000 /dev/hwrng | gzip | wc -c | awk '$1 > 99000 { print \"dense\" }'") == "dense"


def test_login_on_the_virtio_console(vm):
    with connect(vm.where / "hvc0") as host:
        host.sendall(b"\r")
        read_until(host, b"login: ")
        host.sendall(b"root\r")
        read_until(host, b"Password: ")
        host.sendall(b"root\r")
        read_until(host, b"# ")
        host.sendall(b"tty; exit\r")
        read_until(host, b"/dev/hvc0")


def port(vm):
    return "/dev/" + vm.ok("grep -l org.toyvmm.data /sys/class/virtio-ports/*/name").split("/")[4]


def test_named_port_carries_bytes_both_ways(vm):
    name, data = port(vm), os.urandom(300_000)
    with connect(vm.where / "data") as host:
        sender = in_background(host.sendall, data)
        assert vm.ok(f"head -c {len(data)} {name} | tee /tmp/data | md5sum").split()[0] == hashlib.md5(data).hexdigest()
        sender.join()
        vm.ok(f"(sleep 1; cat /tmp/data >{name}) & true")
        assert read_bytes(host, len(data)) == data


def test_vsock_connection_from_the_host(vm):
    data = os.urandom(1_000_000)
    vm.ok("socat VSOCK-LISTEN:1234,fork EXEC:cat & sleep 1")
    with connect(vm.where / "vsock") as host:
        host.sendall(b"CONNECT 1234\n")
        assert re.match(rb"OK \d+\n", read_until(host, b"\n"))
        sender = in_background(host.sendall, data)
        assert read_bytes(host, len(data)) == data
        sender.join()
    with connect(vm.where / "vsock") as host:
        host.sendall(b"CONNECT 4321\n")  # nobody listens
        assert host.recv(100) == b""


def test_vsock_connection_from_the_guest(vm):
    listener = socket.socket(socket.AF_UNIX)
    listener.settimeout(PATIENCE)
    listener.bind(f"{vm.where}/vsock_5000")
    listener.listen()
    vm.ok("head -c 1000000 /dev/urandom >/tmp/out; (socat -u FILE:/tmp/out VSOCK-CONNECT:2:5000 &) ; true")
    with listener, listener.accept()[0] as host:
        host.settimeout(PATIENCE)
        data = read_bytes(host, 1_000_000)
        assert host.recv(1) == b""  # the guest has closed
    assert vm.ok("md5sum </tmp/out").split()[0] == hashlib.md5(data).hexdigest()
    assert vm.run("socat -u FILE:/tmp/out VSOCK-CONNECT:2:5001")[1] != 0  # nobody listens


def resident(vm):
    """MiB of the process, of which guest RAM is nearly all."""
    with open(f"/proc/{vm.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) / 1024


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.5)


def test_balloon_takes_what_was_asked_for(vm):
    """The driver takes the balloon's pages off the total."""
    def total():
        return int(vm.ok("grep MemTotal /proc/meminfo").split()[1]) / 1024
    wait_for(lambda: MEMORY - BALLOON - 90 < total() < MEMORY - BALLOON, "the balloon does not inflate")


def test_freed_memory_goes_back_to_the_host(vm):
    """Free page reporting: what a file in memory took is the host's again once the file is gone."""
    vm.ok("dd if=/dev/zero of=/tmp/large bs=1M count=200 2>/dev/null")
    full = resident(vm)
    vm.ok("rm /tmp/large")
    wait_for(lambda: resident(vm) < full - 120, f"{resident(vm):.0f} of {full:.0f} MiB stay")


def test_console_on_this_terminal_follows_its_size():
    with Terminal("--console", "stdio", initrd=TEST_INITRD, cmdline="console=hvc0", size=(30, 100)) as vm:
        vm.shell()
        assert vm.ok("tty") == "/dev/hvc0"
        wait_for(lambda: vm.run("stty size")[0].strip() == "30 100", "the size does not arrive")
        vm.tty.setwinsize(50, 132)
        wait_for(lambda: vm.ok("stty size") == "50 132", "the new size does not arrive")
        vm.send("poweroff\r")
        assert vm.end() == 0


def test_panic_on_the_virtio_console_ends_with_3():
    """Whoever says it: the driver of pvpanic, or the last words on hvc0."""
    with Terminal("--console", "stdio", initrd=TEST_INITRD, cmdline="console=hvc0") as vm:
        vm.shell()
        vm.ok("rmmod pvpanic_mmio 2>/dev/null; echo 1 >/proc/sys/kernel/sysrq")
        vm.send("echo c >/proc/sysrq-trigger\r")
        assert vm.end() == 3


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_memory_runs_out_with_a_balloon(transport):
    """deflate-on-oom: the balloon gives way, the guest lives."""
    with Terminal("--transport", transport, "--balloon", "128M,deflate-on-oom", initrd=TEST_INITRD, memory="384M") as vm:
        vm.shell()
        vm.run("dd if=/dev/zero of=/tmp/much bs=1M count=300")
        assert vm.ok("echo alive") == "alive"
        vm.send("poweroff -f\r")
        assert vm.end() == 0
