# SPDX-License-Identifier: Apache-2.0
"""The network's driver goes and comes back while frames pass both ways, again and again: each time is a reset."""
import os
import socket
import threading

import pytest

from nets import FAR, GUEST, SMALL, both_ways, end, set_up, tool
from vm import PATIENCE, TEST_INITRD, Terminal

TIMES = int(os.environ.get("RESETS", "100"))
CHUNK = 10  # times a command: no single one takes too long for anybody's patience
MAC = "52:54:00:ab:cd:ef"
# Each time one frame there and back by the new driver, whatever the flood does.
AGAIN = (f"(for n in $(seq {CHUNK}); do echo $d >$drv/unbind; echo $d >$drv/bind || exit 1; "
         f"ip addr add {GUEST}/24 dev eth0; ip link set eth0 up; "
         f"until ping -c 1 -W 1 {FAR} >/dev/null 2>&1; do [ -e /sys/class/net/eth0 ] || exit 2; done; done)")
# For ever: what a program sends fails while there is no interface.
SEND = f"while [ ! -e /tmp/stop ]; do head -c 1000000 /dev/zero | socat -u -b 1400 - UDP-SENDTO:{FAR}:9; usleep 10000; done"


class Flood:
    """Frames for the guest, without an end: the tap is never quiet."""

    def __init__(self):
        self.stop, self.sent = threading.Event(), 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while not self.stop.wait(0.001):
                try:
                    self.sent += s.sendto(bytes(1000), (GUEST, 9)) > 0
                except OSError:
                    pass  # the tap's queue is full, which is as it should be

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.mark.parametrize("transport,words", [("pci", "tap=tap4,queues=2"), ("mmio", "tap=tap1,packed")])
def test_network_survives_its_driver(far, say, transport, words):
    words += f",mac={MAC}"
    with Terminal("--transport", transport, "--cpus", "2", "--net", words, initrd=TEST_INITRD, memory="384M") as vm:
        set_up(vm)
        tool("ip", "neigh", "replace", GUEST, "lladdr", MAC, "dev", "bridge")
        vm.ok("drv=/sys/bus/virtio/drivers/virtio_net; d=$(basename $(readlink -f /sys/class/net/eth0/device)); "
              "echo 1 >/proc/sys/kernel/printk")
        with Flood() as flood:
            vm.ok(f"({SEND}) >/dev/null 2>&1 & true")
            for _ in range(TIMES // CHUNK):
                vm.ok(AGAIN, 2 * PATIENCE)
            vm.ok("touch /tmp/stop")
            say(f"{transport}: {TIMES} times, {flood.sent} frames sent to the guest")
            assert flood.sent > TIMES
        assert int(vm.ok("cat /sys/class/net/eth0/statistics/rx_packets")) > 0
        both_ways(vm, FAR, far, SMALL)
        tool("ip", "neigh", "del", GUEST, "dev", "bridge")
        end(vm)
