# SPDX-License-Identifier: Apache-2.0
"""Networks with Linux' own driver: taps and user networking, with checksummed data both ways."""
import fcntl
import hashlib
import http.server
import os
import signal
import socket
import struct
import threading
import time
import urllib.request

import pytest

from vm import PATIENCE, Terminal, child_of

HOST, GUEST = "192.168.77.1", "192.168.77.2"
SIZE = 8 << 20
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, IFF_UP = 0x8913, 0x8914, 0x8916, 0x891c, 1
# What busybox' DHCP client calls with the lease in its environment.
DHCP_SCRIPT = ('[ "$1" = bound ] && ifconfig $interface $ip netmask $subnet && route add default gw $router'
               ' && echo nameserver $dns >/etc/resolv.conf; exit 0')
REBIND = ("d=$(basename $(readlink -f /sys/class/net/eth0/device)); cd /sys/bus/virtio/drivers/virtio_net; "
          "echo $d >unbind; echo $d >bind; cd; ifconfig eth0 %s up; ping -c 1 -W 20 %s >/dev/null")


def interface(name, request, value):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return fcntl.ioctl(s, request, struct.pack("16s24s", name.encode(), value))


def set_address(name, request, address):
    interface(name, request, struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address)))


def switch_on(name):
    flags = struct.unpack("16xH22x", interface(name, SIOCGIFFLAGS, b""))[0]
    interface(name, SIOCSIFFLAGS, struct.pack("H", flags | IFF_UP))


@pytest.fixture(scope="module")
def blob():
    """A web server of this machine with one file; its content's checksum."""
    data = os.urandom(1 << 20) * (SIZE >> 20)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):  # pylint: disable=arguments-differ
            pass

    switch_on("lo")
    with http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield hashlib.sha256(data).hexdigest()
        server.shutdown()


def carry(vm, host, guest_url, checksum, say, what):
    """The file into the guest, and back out of it by its own web server."""
    start = time.monotonic()
    vm.ok(f"wget -q -O /tmp/blob http://{host}:8000/blob")
    middle = time.monotonic()
    assert vm.ok("sha256sum /tmp/blob").startswith(checksum)
    vm.ok("httpd -p 80 -h /tmp")
    again = time.monotonic()
    with urllib.request.urlopen(f"{guest_url}/blob", timeout=PATIENCE) as answer:
        data = answer.read()
    assert hashlib.sha256(data).hexdigest() == checksum
    end = time.monotonic()
    say(f"{what}: {SIZE / (middle - start) / 1e6:.1f} MB/s in, {SIZE / (end - again) / 1e6:.1f} MB/s out")


def start_tap(options, *more):
    vm = Terminal("--net", f"tap=tap0{options}", *more)
    vm.shell()
    set_address("tap0", SIOCSIFADDR, HOST)
    set_address("tap0", SIOCSIFNETMASK, "255.255.255.0")
    vm.ok(f"ifconfig eth0 {GUEST} up")
    vm.ok(f"ping -c 1 -W 20 {HOST}")
    return vm


@pytest.mark.parametrize("options,more", [
    ("", ()),
    (",offload=off", ()),
    (",packed", ()),
    (",queues=4", ("--cpus", "4")),
    ("", ("--transport", "mmio")),
    (",packed", ("--transport", "mmio", "--cpus", "4")),
], ids=["plain", "no offloads", "packed", "4 queues", "mmio", "mmio packed"])
def test_tap_carries_data_both_ways(options, more, blob, say):
    with start_tap(options, *more) as vm:
        carry(vm, HOST, f"http://{GUEST}", blob, say, f"tap{options} {' '.join(more)}")
        out = vm.ok(f"ping -c 100 -i 0.01 -q {HOST} | tail -2")
        assert " 0% packet loss" in out
        say(out.splitlines()[-1])


def test_a_driver_comes_and_goes_under_a_flood():
    """The tap is never quiet: frames for nobody, and for a driver that is just being set up."""
    stop = threading.Event()

    def flood():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            while not stop.is_set():
                try:
                    s.sendto(bytes(1000), ("192.168.77.255", 9))
                except OSError:
                    time.sleep(0.001)
                time.sleep(0.0005)

    with start_tap(",queues=2", "--cpus", "2") as vm:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            vm.ok(f"for i in $(seq 20); do {REBIND % (GUEST, HOST)} || exit 1; done", 3 * PATIENCE)
        finally:
            stop.set()
            thread.join()


@pytest.fixture(scope="module")
def user():
    """A guest with user networking, that has a DHCP lease."""
    switch_on("lo")
    with Terminal("--net", "user,hostfwd=tcp:127.0.0.1:8080-:80") as vm:
        vm.shell()
        vm.ok(f"echo '#!/bin/sh' >/tmp/lease; echo '{DHCP_SCRIPT}' >>/tmp/lease; chmod +x /tmp/lease")
        vm.ok("udhcpc -i eth0 -n -q -s /tmp/lease")
        yield vm


def test_user_networking_gives_a_lease(user):
    assert "10.0.2.15" in user.ok("ifconfig eth0")
    assert user.ok("cat /etc/resolv.conf") == "nameserver 10.0.2.3"
    user.ok("ping -c 3 -W 20 10.0.2.2")


def test_user_networking_carries_data_both_ways(user, blob, say):
    carry(user, "10.0.2.2", "http://127.0.0.1:8080", blob, say, "user")


def test_user_networking_survives_its_driver(user):
    user.ok(f"for i in $(seq 20); do {REBIND % ('10.0.2.15', '10.0.2.2')} || exit 1; done", 3 * PATIENCE)


def test_the_helpers_death_is_a_cable_pulled_out(user):
    os.kill(child_of(user.pid), signal.SIGKILL)
    user.ok("for i in $(seq 100); do [ $(cat /sys/class/net/eth0/carrier) = 0 ] && break; sleep 0.1; done; "
            "[ $(cat /sys/class/net/eth0/carrier) = 0 ]")
    user.send("poweroff -f\r")
    assert user.end() == 0


def test_a_forwarded_port_that_is_taken_ends_the_start_with_one_line():
    switch_on("lo")
    with socket.create_server(("127.0.0.1", 2222)):
        with Terminal("--net", "user,hostfwd=tcp:127.0.0.1:2222-:22") as vm:
            vm.expect("toyvmm: .*hostfwd tcp 127.0.0.1 port 2222: Address already in use")
            assert vm.end() == 1
