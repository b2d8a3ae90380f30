# SPDX-License-Identifier: Apache-2.0
"""Every device at once, each at work, with 4 vCPUs: disk, networks, random numbers, console, vsock, balloon."""
import hashlib
import os
import socket
import threading

import pytest

from disks import MIB, fio, md5
from nets import FAR, SMALL, both_ways, end, set_up
from vm import PATIENCE, TEST_INITRD, Terminal

DRIVERS = {"virtio_blk": 2, "virtio_net": 2, "virtio_rng": 1, "virtio_console": 1, "virtio_balloon": 1,
           "vmw_vsock_virtio_transport": 1}


def echo(vsock, data, got):
    """Data to the guest's echo server by vsock, and back."""
    with socket.socket(socket.AF_UNIX) as host:
        host.settimeout(PATIENCE)
        host.connect(vsock)
        host.sendall(b"CONNECT 1234\n")
        while not host.recv(1) == b"\n":
            pass
        sender = threading.Thread(target=host.sendall, args=(data,))
        sender.start()
        while len(got) < len(data):
            got += host.recv(65536)
        sender.join()


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_all_devices_work_at_once(far, tmp_path, transport):
    image, other = tmp_path / "disk.img", tmp_path / "other.img"
    for path in image, other:
        path.write_bytes(bytes(32 * MIB))
    vsock = f"{tmp_path}/vsock"
    options = ["--transport", transport, "--cpus", "4", "--disk", str(image), "--disk", f"{other},packed",
               "--net", "tap=tap4,queues=2", "--net", "user", "--rng", "--console", f"socket={tmp_path}/hvc0",
               "--vsock", f"cid=42,socket={vsock}", "--balloon", "32M,stats=1,reporting"]
    with Terminal(*options, initrd=TEST_INITRD, memory="512M") as vm:
        set_up(vm)
        for driver, count in DRIVERS.items():
            assert int(vm.ok(f"ls -d /sys/bus/virtio/drivers/{driver}/virtio* | wc -l")) == count, driver
        vm.ok("(socat VSOCK-LISTEN:1234,fork EXEC:cat &); (while [ ! -e /tmp/stop ]; do head -c 4096 /dev/hwrng "
              ">/dev/null; done &) ; (fio --name=w --filename=/dev/vda --ioengine=libaio --direct=1 --rw=randwrite --bs=8k "
              "--iodepth=16 --size=16M --time_based --runtime=3600 >/dev/null 2>&1 &); ping -q -c 20 -W 60 10.0.2.2 >/tmp/ping 2>&1 & true")
        data, got = os.urandom(4 * MIB), bytearray()
        vm.ok("until grep -q . /proc/net/protocols; do :; done; sleep 1")
        thread = threading.Thread(target=echo, args=(vsock, data, got))
        thread.start()
        both_ways(vm, FAR, far, SMALL)
        thread.join()
        assert hashlib.md5(got).digest() == hashlib.md5(data).digest()
        fio(vm, "--filename=/dev/vdb --rw=randwrite --bsrange=4k-32k --iodepth=16 --size=8M --verify=crc32c "
                "--do_verify=1 --verify_fatal=1")
        vm.ok("touch /tmp/stop; killall fio; wait; sync")
        assert " 0% packet loss" in vm.ok("cat /tmp/ping")
        for disk, path in ("vda", image), ("vdb", other):
            assert vm.ok(f"dd if=/dev/{disk} iflag=direct bs=1M 2>/dev/null | md5sum").split()[0] == md5(path)
        end(vm)
