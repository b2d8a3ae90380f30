# SPDX-License-Identifier: Apache-2.0
"""A vfio-user device under a bare-metal guest: its server dies and comes again; and servers that do not keep to the protocol."""
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

from test_guests import BUILD, TOYVMM, run

with open("/proc/cpuinfo", encoding="ascii") as f:
    CPUINFO = f.read().split()
REPLY, VERSION, GET_INFO = 1, 1, 4


class NvmeServer:
    def __init__(self, tmp_path, *options):
        self.path = str(tmp_path / "nvme.sock")
        image = tmp_path / "disk.img"
        image.write_bytes(bytes(1 << 20))
        self.process = subprocess.Popen([f"{BUILD}/vfio-user-nvme", *options, self.path, str(image)], stdout=subprocess.PIPE)
        assert b"ready" in self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@contextlib.contextmanager
def guest_lines(server, errors):
    """What the guest prints, as it comes. It must end well."""
    command = [TOYVMM, "run", "--kernel", f"{BUILD}/guest/vfio_user.elf", "--memory", "64M", "--vfio-user", server.path]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as vmm:
        patience = threading.Timer(120, vmm.kill)
        patience.start()
        said = []
        yield (said.append(line.strip()) or said[-1] for line in vmm.stdout)
        errors.append(vmm.stderr.read())
    patience.cancel()
    assert vmm.returncode == 0 and said[-1] == "PASS", (said, errors)


def test_server_dies_and_another_takes_its_place(tmp_path):
    server, errors = NvmeServer(tmp_path), []
    with guest_lines(server, errors) as lines:
        for line in lines:
            if line == "UP":
                server.kill()
            elif line == "AWAY":
                server = NvmeServer(tmp_path)
    server.kill()
    # That it is back is said by another thread, which the guest's end may forestall; the guest has seen it.
    assert "the server closed the connection; until it is back" in errors[0]


def test_server_makes_the_file_of_a_mapped_bar_shorter(tmp_path):
    server, errors = NvmeServer(tmp_path, "--page"), []
    with guest_lines(server, errors) as lines:
        for line in lines:
            if line == "CUT":
                server.process.send_signal(signal.SIGUSR1)
    server.kill()
    # A paravirtual KVM brings the access as an exit, others fail: then the memory is taken away, once.
    fails = "svm" in CPUINFO or "vmx" in CPUINFO
    assert errors[0].count("toyvmm: memory that the guest has touched is not there: ") == fails, errors


def message(number, command, payload=b"", flags=REPLY, size=None):
    return struct.pack("<HHIII", number, command, size or 16 + len(payload), flags, 0) + payload


def version(**capabilities):
    return message(0, VERSION, struct.pack("<HH", 0, 0) + json.dumps({"capabilities": capabilities}).encode() + b"\0")


INFO = message(1, GET_INFO, struct.pack("<IIII", 16, 2, 9, 5))

# What is sent as soon as toyvmm has connected; what it says then.
WRONG = {
    "nothing at all": (b"", "version: no answer"),
    "something else": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a message is too long"),
    "half a header": (b"\0\0\1\0", "version: no answer"),
    "another version": (message(0, VERSION, struct.pack("<HH", 7, 3)), "the server speaks 7.3, toyvmm 0.0"),
    "no descriptors": (version(max_msg_fds=0), "'max_msg_fds' makes no sense"),
    "not a PCI device": (version() + message(1, GET_INFO, struct.pack("<IIII", 16, 4, 9, 5)), "it is not a PCI device"),
    "no region": (version() + INFO, "region 0: description: no answer"),
}


@pytest.mark.parametrize("what", WRONG)
def test_server_that_misbehaves_is_one_clear_line(tmp_path, what):
    path = str(tmp_path / "socket")
    data, expected = WRONG[what]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            with listener.accept()[0] as connection, contextlib.suppress(ConnectionError):
                connection.sendall(data)
                while connection.recv(65536):
                    pass
        server = threading.Thread(target=serve)
        server.start()
        code, out, err = run("hello", "--vfio-user", path)
        server.join()
    assert code == 1 and out == "", (out, err)
    assert err.startswith(f"toyvmm: vfio-user '{path}': ") and err.count("\n") == 1 and expected in err, err


def test_no_server_is_one_clear_line(tmp_path):
    path = str(tmp_path / "socket")
    code, _, err = run("hello", "--vfio-user", path)
    assert code == 1 and err == f"toyvmm: vfio-user '{path}': no server listens there\n"
    assert not os.path.exists(path)
