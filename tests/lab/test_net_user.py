# SPDX-License-Identifier: Apache-2.0
"""`--net user` under a stock Linux: addresses, names, connections both ways. No right of any kind is needed for it."""
import contextlib
import hashlib
import os
import socket
import struct
import threading

import pytest

from nets import MIB, SUM, Servers, both_ways, call_guest, read_all, until
from vm import PATIENCE, TEST_INITRD, Terminal, child_of, command

GATEWAY, NAMES = "10.0.2.2", "10.0.2.3"
IN_TCP, IN_UDP = 2222, 2223
FORWARDED = f"hostfwd=tcp:127.0.0.1:{IN_TCP}-:22,hostfwd=udp:127.0.0.1:{IN_UDP}-:7"
NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]


def answer_names(server):
    """A name server of the outer machine that knows one address for every name (RFC 1035, 4.1)."""
    while True:
        question, client = server.recvfrom(512)
        is_a = question[question.index(b"\0", 12) + 1:][:2] == b"\0\1"
        header = question[:2] + b"\x85\x80" + struct.pack(">HHHH", 1, int(is_a), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH4s", 1, 1, 60, 4, socket.inet_aton("192.0.2.77"))
        server.sendto(header + question[12:] + (record if is_a else b""), client)


@pytest.fixture(scope="module", name="servers")
def servers_fixture(tmp_path_factory):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    threading.Thread(target=answer_names, args=(server,), daemon=True).start()
    assert os.environ.get("TOYVMM_IN_LAB"), "only in the lab are the system's files the test's"
    os.unlink("/etc/resolv.conf")
    with open("/etc/resolv.conf", "w", encoding="ascii") as config:
        config.write("nameserver 127.0.0.1\n")
    servers = Servers(tmp_path_factory.mktemp("servers"), 16 * MIB)
    yield servers
    servers.stop()


@contextlib.contextmanager
def machine(*options, words, before=()):
    """A logged-in guest with an address."""
    argv = list(before) + command("--net", f"user,{words}", *options, initrd=TEST_INITRD, memory="512M")
    with Terminal(argv=argv) as vm:
        vm.shell()
        vm.ok("until ip addr show dev eth0 | grep 'inet '; do usleep 100000; done")
        yield vm
        vm.send("poweroff\r")
        assert vm.end() == 0


@pytest.fixture(scope="module", name="vm", params=["pci-1-nobody", "mmio-4-packed"])
def vm_fixture(request, servers):
    assert servers
    transport, cpus, how = request.param.split("-")
    with machine("--transport", transport, "--cpus", cpus, words=FORWARDED + (",packed" if how == "packed" else ""),
                 before=NOBODY if how == "nobody" else ()) as vm:
        yield vm


def test_dhcp_gives_the_address_the_route_and_the_name_server(vm):
    assert "10.0.2.15/24" in vm.ok("ip addr show dev eth0")
    assert vm.ok("ip route").startswith(f"default via {GATEWAY} dev eth0")
    assert vm.ok("cat /etc/resolv.conf") == f"nameserver {NAMES}"


def test_gateway_answers_a_ping(vm):
    vm.ok(f"ping -c 3 {GATEWAY} && ping -c 3 -s 1400 {GATEWAY}")


def test_names_are_asked_of_the_hosts_name_server(vm):
    assert "192.0.2.77" in vm.ok("nslookup -type=a any.test")


def test_outgoing_connections_carry_bulk_data_both_ways(vm, servers):
    both_ways(vm, GATEWAY, servers, 16 * MIB)


def test_many_connections_at_once(vm):
    want = hashlib.md5(b"x\n").hexdigest()
    one = f"echo x | socat -t {PATIENCE} - TCP:{GATEWAY}:{SUM}"
    assert vm.ok(f"for n in $(seq 30); do {one} & done 2>/dev/null | sort | uniq -c").split() == ["30", want, "-"]


def test_refused_connection_is_refused(vm):
    out, code = vm.run(f"socat -u TCP:{GATEWAY}:9 -")
    assert code != 0 and "refused" in out


def test_forwarded_tcp_port_carries_bulk_data_both_ways(vm, servers):
    vm.ok("socat TCP-LISTEN:22,fork,reuseaddr SYSTEM:'tee /tmp/in | cat' & true")
    vm.ok("until netstat -tln | grep -q ':22 '; do usleep 50000; done")
    with socket.create_connection(("127.0.0.1", IN_TCP), timeout=PATIENCE) as connection:
        data = servers.data[:8 * MIB]
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        back = read_all(connection)
        sender.join()
    assert hashlib.md5(back).digest() == hashlib.md5(data).digest()
    assert vm.ok("md5sum </tmp/in").split()[0] == hashlib.md5(data).hexdigest()
    vm.ok("rm /tmp/in; killall socat")


def test_forwarded_udp_port_carries_datagrams_both_ways(vm):
    vm.ok("socat UDP-RECVFROM:7,fork EXEC:/bin/cat & true")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect(("127.0.0.1", IN_UDP))
        for size in 1, 1400:
            def echoed(data=os.urandom(size)):
                client.send(data)
                try:
                    return client.recv(2048) == data
                except (TimeoutError, ConnectionRefusedError):
                    return False
            until(echoed, "an echo")
    vm.ok("killall socat")


def test_helper_that_dies_is_a_pulled_cable(vm):
    """The last test of each machine."""
    assert vm.ok("cat /sys/class/net/eth0/carrier") == "1"
    os.kill(child_of(vm.pid), 9)
    vm.ok("until [ $(cat /sys/class/net/eth0/carrier) = 0 ]; do usleep 50000; done")
    assert vm.run(f"ping -c 1 -W 1 {GATEWAY}")[1] != 0
    assert vm.ok("echo $((6*7))") == "42"


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_restricted_guest_gets_nowhere_but_answers_forwarded_ports(servers, transport):
    assert servers
    with machine("--transport", transport, words=f"restrict,{FORWARDED}") as vm:
        vm.ok("socat TCP-LISTEN:22,fork,reuseaddr EXEC:md5sum & true")
        vm.ok("until netstat -tln | grep -q ':22 '; do usleep 50000; done")
        assert call_guest(b"x\n", "127.0.0.1", IN_TCP).split()[0].decode() == hashlib.md5(b"x\n").hexdigest()
        assert vm.run(f"socat -T 3 -u TCP:{GATEWAY}:{SUM},connect-timeout=3 -")[1] != 0
        assert vm.run("nslookup -timeout=2 -retry=1 any.test")[1] != 0
