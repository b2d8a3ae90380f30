# SPDX-License-Identifier: Apache-2.0
"""The other end of the network tests: servers in the lab's outer machine, and bulk data that is compared by checksum."""
import hashlib
import os
import socket
import subprocess
import time

from vm import PATIENCE

MIB = 1 << 20
LARGE, SMALL = 8 * MIB, 2 * MIB
FAR, HERE, GUEST = "192.168.77.1", "192.168.77.2", "192.168.77.10"
SOURCE, SUM, SPEED = 5001, 5002, 5201  # ports: sends the data; answers with the checksum of what it got; iperf3


def tool(*words):
    """A command of the outer machine, which must succeed: its output."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def until(true, what):
    """Waits until true() is. The lab is slow, so for as long as anybody has patience."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def listening(port, *inside):
    """Whether a TCP server waits at a port; `inside`: the words that a command in its namespace begins with."""
    return f":{port:04X} " in tool(*inside, "cat", "/proc/net/tcp", "/proc/net/tcp6")


def busy_ticks(pid):
    """The processor time a process has used, guest included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


class Servers:
    """Two servers, and iperf3's, in a network namespace or in the first one, with `size` bytes of random data."""

    def __init__(self, directory, size, namespace=None):
        self.file = os.path.join(directory, "data")
        data = os.urandom(MIB) * (size // MIB)
        with open(self.file, "wb") as f:
            f.write(data)
        os.chmod(self.file, 0o644)
        self.data = data
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        listen = "fork,reuseaddr,backlog=64"
        self.processes = [subprocess.Popen(inside + words, stdout=subprocess.DEVNULL) for words in (
            ["socat", "-b", "65536", "-U", f"TCP-LISTEN:{SOURCE},{listen}", f"OPEN:{self.file},rdonly"],
            ["socat", "-b", "65536", "-t", str(PATIENCE), f"TCP-LISTEN:{SUM},{listen}", "EXEC:md5sum"],
            ["iperf3", "--server"])]
        for port in SOURCE, SUM, SPEED:
            until(lambda port=port: listening(port, *inside), f"a server at port {port}")

    def sum(self, size):
        """The checksum of the first `size` bytes."""
        return hashlib.md5(self.data[:size]).hexdigest()

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


def download(vm, address, servers, size):
    """The guest gets the first `size` bytes of the data. They stay there."""
    vm.ok(f"socat -b 65536 -u TCP:{address}:{SOURCE} - 2>/dev/null | head -c {size} >/tmp/data")
    assert vm.ok("md5sum </tmp/data").split()[0] == servers.sum(size)


def upload(vm, address, servers, size):
    """The guest sends what it got before."""
    got = vm.ok(f"socat -b 65536 -t {PATIENCE} - TCP:{address}:{SUM} </tmp/data").split()[0]
    assert got == servers.sum(size)


def both_ways(vm, address, servers, size):
    download(vm, address, servers, size)
    upload(vm, address, servers, size)


def read_all(connection):
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def call_guest(data, *address, family=socket.AF_INET, greet=None):
    """Sends data into the guest over a stream, half-closes, and returns all of the answer."""
    with socket.socket(family) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address if family == socket.AF_INET else address[0])
        if greet:
            greet(connection)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def feature(vm, device, bit):
    """Whether the driver has accepted a virtio feature."""
    return vm.ok(f"cat /sys/bus/virtio/devices/{device}/features")[bit] == "1"


def bridge_and_servers(directory):
    """A bridge with two taps (tap4 of several queues), and behind it servers in a namespace of their own."""
    tool("ip", "netns", "add", "far")
    tool("ip", "link", "add", "near", "type", "veth", "peer", "name", "eth", "netns", "far")
    tool("ip", "-n", "far", "addr", "add", f"{FAR}/24", "dev", "eth")
    tool("ip", "-n", "far", "link", "set", "dev", "eth", "up")
    tool("ip", "link", "add", "bridge", "type", "bridge")
    tool("ip", "addr", "add", f"{HERE}/24", "dev", "bridge")
    tool("ip", "tuntap", "add", "dev", "tap1", "mode", "tap")
    tool("ip", "tuntap", "add", "dev", "tap4", "mode", "tap", "multi_queue")
    for port in "near", "tap1", "tap4":
        tool("ip", "link", "set", "dev", port, "master", "bridge", "up")
    tool("ip", "link", "set", "dev", "bridge", "up")
    return Servers(directory, LARGE, "far")


def set_up(vm, address=GUEST):
    """A logged-in guest with an address on eth0."""
    vm.shell()
    vm.ok(f"killall udhcpc; ip addr flush dev eth0; ip addr add {address}/24 dev eth0; ip link set eth0 up")
    return vm


def end(vm):
    vm.send("poweroff\r")
    assert vm.end() == 0
