# SPDX-License-Identifier: Apache-2.0
"""User networking's helper process, frame by frame: what a guest's DHCP client, resolver and TCP see of it."""
import os
import socket
import struct
import subprocess
import time

import pytest

HELPER = os.path.join(os.environ.get("BUILD", "build"), "toyvmm-slirp")
MAC = bytes.fromhex("525400123456")
GUEST, GATEWAY, DNS, ANY = (socket.inet_aton(a) for a in ("10.0.2.15", "10.0.2.2", "10.0.2.3", "0.0.0.0"))
SECONDS = 20  # far more than anything takes


class Wire:
    """The helper at the other end of a socket pair; `mac` of the gateway is learned on the way."""

    def __init__(self, *options):
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen([HELPER, *options], stdin=theirs, stderr=subprocess.PIPE)
        theirs.close()
        self.status = self.process.stderr.readline().decode().strip()
        self.socket, self.buffer, self.mac = ours, b"", b"\xff" * 6
        ours.settimeout(SECONDS)

    def __enter__(self):
        assert self.status == "ready"
        return self

    def __exit__(self, *_):
        self.socket.close()
        assert self.process.wait(SECONDS) == 0

    def send(self, frame):
        self.socket.sendall(struct.pack(">I", len(frame)) + frame)

    def frame(self):
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack(">I", self.buffer[:4])[0]:
            part = self.socket.recv(65536)
            assert part, "the helper has gone"
            self.buffer += part
        end = 4 + struct.unpack(">I", self.buffer[:4])[0]
        frame, self.buffer = self.buffer[4:end], self.buffer[end:]
        return frame

    def wait(self, accept):
        """The first frame that accept() makes something of."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            found = accept(self.frame())
            if found:
                return found
        raise AssertionError("not seen in time")

    def arp(self):
        """Learns the gateway's address, and lets it learn ours."""
        self.send(b"\xff" * 6 + MAC + b"\x08\x06" + bytes.fromhex("0001080006040001") + MAC + GUEST + bytes(6) + GATEWAY)
        self.mac = self.wait(lambda f: f[12:14] == b"\x08\x06" and f[20:22] == b"\x00\x02" and f[22:28])

    def send_ip(self, protocol, source, to, payload):
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, source, to)
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        self.send(self.mac + MAC + b"\x08\x00" + header + payload)

    def send_udp(self, source, to, ports, data):
        self.send_ip(17, source, to, struct.pack(">HHHH", *ports, 8 + len(data), 0) + data)

    def send_tcp(self, to, ports, seq, ack, flags, data=b""):
        head = struct.pack(">HHIIBBHHH", *ports, seq % 2**32, ack % 2**32, 5 << 4, flags, 65535, 0, 0)
        pseudo = GUEST + to + struct.pack(">HH", 6, len(head) + len(data))
        head = head[:16] + struct.pack(">H", checksum(pseudo + head + data)) + head[18:]
        self.send_ip(6, GUEST, to, head + data)

    def tcp(self):
        """The next segment: ports, sequence number, acknowledgement, flags, data."""
        def accept(f):
            if f[12:14] != b"\x08\x00" or f[23] != 6:
                return None
            size, at = struct.unpack(">H", f[16:18])[0], 14 + (f[14] & 15) * 4
            ports, seq, ack = struct.unpack(">HH", f[at:at + 4]), *struct.unpack(">II", f[at + 4:at + 12])
            return ports, seq, ack, f[at + 13] & 0x3f, f[at + (f[at + 12] >> 4) * 4:14 + size]
        return self.wait(accept)


FIN, SYN, ACK = 1, 2, 16


def checksum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def dhcp(kind, *options):
    head = struct.pack(">BBBBIHH4s4s4s4s16s", 1, 1, 6, 0, 0x1234, 0, 0, ANY, ANY, ANY, ANY, MAC)
    return head + bytes(192) + b"\x63\x82\x53\x63" + bytes([53, 1, kind, *b"".join(options), 255])


def dhcp_reply(frame):
    """Address and options of a DHCP reply."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[34:38] != struct.pack(">HH", 67, 68):
        return None
    message, options = frame[42:], {}
    rest = message[240:]
    while rest and rest[0] != 255:
        options[rest[0]] = rest[2:2 + rest[1]]
        rest = rest[2 + rest[1]:]
    return message[16:20], options


def test_dhcp_gives_the_address_the_gateway_and_the_resolver():
    with Wire() as wire:
        wire.send_udp(ANY, b"\xff" * 4, (68, 67), dhcp(1))
        address, options = wire.wait(dhcp_reply)
        assert (address, options[53]) == (GUEST, b"\x02")
        wire.send_udp(ANY, b"\xff" * 4, (68, 67), dhcp(3, bytes([50, 4]) + GUEST))
        address, options = wire.wait(dhcp_reply)
        assert (address, options[53]) == (GUEST, b"\x05")
        assert (options[3], options[6], options[1]) == (GATEWAY, DNS, b"\xff\xff\xff\x00")


def test_the_gateway_answers_a_ping():
    with Wire() as wire:
        wire.arp()
        echo = struct.pack(">BBHHH", 8, 0, 0, 7, 1) + b"hello"
        wire.send_ip(1, GUEST, GATEWAY, echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:])
        assert wire.wait(lambda f: f[12:14] == b"\x08\x00" and f[23] == 1 and f[42:47]) == b"hello"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_forwarded_connection_carries_data_both_ways():
    port = free_port()
    with Wire(f"hostfwd=tcp,127.0.0.1,{port},,22") as wire:
        wire.arp()
        with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
            (theirs, ours), seq, _, flags, _ = wire.tcp()
            assert (ours, flags) == (22, SYN)
            wire.send_tcp(GATEWAY, (22, theirs), 1000, seq + 1, SYN | ACK)
            client.sendall(b"to the guest")
            seq, data = seq + 1, b""
            while len(data) < 12:
                data += wire.tcp()[4]
            assert data == b"to the guest"
            wire.send_tcp(GATEWAY, (22, theirs), 1001, seq + 12, ACK, b"to the host")
            assert client.recv(100) == b"to the host"


def outgoing(wire, port):
    """A connection from the guest to the host's loopback, by the gateway's address: flags of the answer."""
    wire.arp()
    wire.send_tcp(GATEWAY, (4000, port), 5000, 0, SYN)
    return wire.tcp()


def test_a_connection_of_the_guest_reaches_the_host():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        server.settimeout(SECONDS)
        with Wire() as wire:
            _, seq, ack, flags, _ = outgoing(wire, server.getsockname()[1])
            assert (flags, ack) == (SYN | ACK, 5001)
            wire.send_tcp(GATEWAY, (4000, server.getsockname()[1]), 5001, seq + 1, ACK, b"hello host")
            connection, _ = server.accept()
            with connection:
                connection.settimeout(SECONDS)
                assert connection.recv(100) == b"hello host"


def test_restricted_there_is_no_way_out():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        with Wire("restrict") as wire:
            wire.arp()
            wire.send_tcp(GATEWAY, (4000, server.getsockname()[1]), 5000, 0, SYN)
            wire.arp()  # answered after whatever the segment before led to
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()


@pytest.mark.parametrize("frames", [
    struct.pack(">I", 0), struct.pack(">I", 13), struct.pack(">I", 0xffffffff),
], ids=["zero", "short", "huge"])
def test_a_stream_of_nonsense_ends_it(frames):
    wire = Wire()
    wire.socket.sendall(frames)
    assert wire.socket.recv(1 << 20) is not None
    assert wire.process.wait(SECONDS) == 0


def test_hostile_frames_are_survived():
    with Wire() as wire:
        wire.arp()
        for size in (14, 15, 20, 34, 60, 1514, 9000, 65550):
            for kind in (b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x81\x00", b"\x00\x00"):
                for fill in (0x00, 0x45, 0x60, 0xff):
                    wire.send((wire.mac + MAC + kind + bytes([fill]) * size)[:size])
        wire.arp()


@pytest.mark.parametrize("option,says", [
    ("hostfwd=tcp,localhost,1,,22", "not an address"),
    ("hostfwd=tcp,127.0.0.1,1,fec0::1,22", "IPv4 cannot be forwarded to IPv6"),
    ("hostfwd=tcp,127.0.0.1", "malformed"),
    ("hostfwd=tcp,192.0.2.1,8000,,22", "Cannot assign"),
])
def test_what_cannot_be_forwarded_is_said(option, says):
    wire = Wire(option)
    assert wire.status.startswith("hostfwd") and says in wire.status
    assert wire.process.wait(SECONDS) == 1


def test_a_port_can_be_forwarded_over_ipv6():
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this host")
        port = s.getsockname()[1]
    with Wire(f"hostfwd=tcp,::1,{port},,22"), socket.create_connection(("::1", port), SECONDS):
        pass
