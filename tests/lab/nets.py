# SPDX-License-Identifier: Apache-2.0
"""The other end of the network tests: servers in the lab's outer machine, and bulk data that is compared by checksum."""
import hashlib
import os
import socket
import subprocess
import time

from vm import PATIENCE

MIB = 1 << 20
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
        self.data, self.sum, self.size = data, hashlib.md5(data).hexdigest(), len(data)
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        listen = "fork,reuseaddr,backlog=64"
        self.processes = [subprocess.Popen(inside + words, stdout=subprocess.DEVNULL) for words in (
            ["socat", "-U", f"TCP-LISTEN:{SOURCE},{listen}", f"OPEN:{self.file},rdonly"],
            ["socat", "-t", str(PATIENCE), f"TCP-LISTEN:{SUM},{listen}", "EXEC:md5sum"],
            ["iperf3", "--server"])]
        for port in SOURCE, SUM, SPEED:
            until(lambda port=port: f":{port:04X} " in tool(*inside, "cat", "/proc/net/tcp", "/proc/net/tcp6"),
                  f"a server at port {port}")

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


def download(vm, address, servers, to="/tmp/data"):
    """The guest gets the data. It stays there."""
    vm.ok(f"socat -u TCP:{address}:{SOURCE} OPEN:{to},creat,trunc")
    assert vm.ok(f"md5sum <{to}").split()[0] == servers.sum


def upload(vm, address, servers, source="/tmp/data"):
    """The guest sends what it got before."""
    assert vm.ok(f"socat -t {PATIENCE} - TCP:{address}:{SUM} <{source}").split()[0] == servers.sum


def both_ways(vm, address, servers):
    download(vm, address, servers)
    upload(vm, address, servers)


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
