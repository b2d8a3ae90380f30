# SPDX-License-Identifier: Apache-2.0
"""`--net tap` under a stock Linux, through a bridge to a network namespace: bulk data with every offload and queue."""
import json

import pytest

from nets import FAR, GUEST, LARGE, MIB, SMALL, both_ways, end, feature, set_up, tool
from vm import PATIENCE, TEST_INITRD, Terminal

PACKED = 34  # VIRTIO_F_RING_PACKED


@pytest.fixture(scope="module", name="vm", params=["pci-1", "pci-4-packed", "mmio-4"])
def vm_fixture(request, far):
    """With 4 CPUs, 2 pairs of queues."""
    assert far
    transport, cpus, packed = (request.param + "-").split("-")[:3]
    words = f"tap=tap{cpus}" + (",queues=2" if cpus == "4" else "") + (",packed" if packed else "")
    with Terminal("--transport", transport, "--cpus", cpus, "--net", words, initrd=TEST_INITRD, memory="512M") as vm:
        set_up(vm)
        vm.queues = 2 if cpus == "4" else 1
        vm.packed, vm.mmio = bool(packed), transport == "mmio"
        yield vm
        end(vm)


def test_both_ends_answer_a_ping(vm):
    vm.ok(f"ping -c 3 {FAR} && ping -c 3 -s 1472 {FAR}")
    tool("ip", "netns", "exec", "far", "busybox", "ping", "-c", "3", "-w", str(PATIENCE), GUEST)
    assert feature(vm, "virtio0", PACKED) == vm.packed


def test_bulk_data_both_ways(vm, far):
    both_ways(vm, FAR, far, LARGE if vm.queues == 1 else LARGE // 4)


@pytest.mark.parametrize("direction", ["", "--reverse"])
def test_iperf3(vm, say, direction):
    done = json.loads(vm.ok(f"iperf3 --client {FAR} --time 1 --parallel 4 --json {direction}"))
    received = done["end"]["sum_received"]
    assert received["bytes"] > 0
    say(f"iperf3 {direction or '--forward'}: {received['bits_per_second'] / 8 / MIB:.0f} MiB/s")


def test_offloads_off_and_on_again(vm, far):
    """What the driver says by the control queue (rx) or just does not use (tx)."""
    words = "rx tx sg tso gso gro"
    for state in "off", "on":
        vm.ok("ethtool -K eth0 " + " ".join(f"{word} {state}" for word in words.split()) + " 2>&1")
        assert f"tcp-segmentation-offload: {state}" in vm.ok("ethtool -k eth0")
        both_ways(vm, FAR, far, SMALL)


def test_number_of_queues_changes_with_traffic_running(vm, far):
    assert int(vm.ok("ethtool -l eth0 | grep Combined | head -n 1").split()[1]) == vm.queues
    vm.ok(f"(ping -q -i 0.02 {FAR} >/dev/null 2>&1 &)")
    for queues in range(vm.queues, 0, -1):
        vm.ok(f"[ {queues} = {vm.queues} ] || ethtool -L eth0 combined {queues}")
        both_ways(vm, FAR, far, SMALL)
    vm.ok(f"[ {vm.queues} = 1 ] || ethtool -L eth0 combined {vm.queues}")
    both_ways(vm, FAR, far, SMALL)
    vm.ok("killall ping")


def test_each_queue_interrupts(vm, say):
    """Eight connections at once, of which the tap gives each to a queue by its hash."""
    if vm.mmio:
        pytest.skip("an MMIO device has one interrupt for all of its queues")
    lines = "grep -E 'virtio0-(in|out)put' /proc/interrupts"

    def counts():
        return {line.split()[-1]: sum(int(n) for n in line.split()[1:] if n.isdigit()) for line in vm.ok(lines).splitlines()}
    before = counts()
    vm.ok(f"iperf3 --client {FAR} --time 2 --parallel 8; iperf3 --client {FAR} --time 2 --parallel 8 --reverse")
    more = {name: count - before[name] for name, count in counts().items()}
    say(more)
    received = [name for name, count in more.items() if "input" in name and count > 0]
    assert len(received) == vm.queues, more
