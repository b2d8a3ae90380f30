# SPDX-License-Identifier: Apache-2.0
# lab: --kernel $BUILD/lab/bookworm-backports --device virtio-net,virtio-blk
"""vDPA with Linux' drivers: virtio devices behind an IOMMU, and simulated ones."""
import os
import resource

import pytest

import passthru
from nets import MIB, Servers, both_ways, end
from vm import TEST_INITRD, Terminal, command

HOST, GUEST, LEASE = "192.168.9.1", "192.168.9.2", "192.168.9.77"
SIZE = 4 * MIB


@pytest.fixture(scope="module", autouse=True)
def memory_may_be_locked():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def real():
    """The nodes of a network card and a disk, both virtio PCI devices."""
    passthru.wire(f"{HOST}/24")
    return passthru.vp_vdpa("net0", passthru.VIRTIO_NET), passthru.vp_vdpa("blk0", passthru.VIRTIO_BLK)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    made = Servers(tmp_path_factory.mktemp("servers"), SIZE)
    yield made
    made.stop()


def start(*options, **more):
    more.setdefault("memory", "384M")
    vm = Terminal(*options, initrd=TEST_INITRD, **more)
    return vm.shell()


@pytest.mark.parametrize("transport,cpus", [("pci", "4"), ("mmio", "1")])
def test_hardware_serves_the_guest(real, servers, transport, cpus):
    """Both devices at once. More than 4 GiB of memory: two regions are mapped."""
    net, blk = real
    with start("--vdpa", net, "--vdpa", f"{blk},id=store", "--transport", transport, "--cpus", cpus,
               memory="4352M" if transport == "pci" else "384M") as vm:
        vm.ok(f"ifconfig eth0 {GUEST} up && ping -c 3 -W 20 {HOST}")
        both_ways(vm, HOST, servers, SIZE)
        passthru.check_disk(vm)
        passthru.driver_comes_and_goes(vm, vm.ok("basename $(readlink -f /sys/class/net/eth0/device)"), "virtio_net", 5)
        vm.ok(f"ifconfig eth0 {GUEST} up && ping -c 3 -W 20 {HOST}")
        both_ways(vm, HOST, servers, SIZE)
        passthru.driver_comes_and_goes(vm, vm.ok("basename $(readlink -f /sys/block/vda/device)"), "virtio_blk", 5)
        passthru.check_disk(vm, "/dev/vd[a-z]")
        end(vm)


def test_dhcp_over_hardware(real, tmp_path):
    """The guest's own client, started at boot, gets an address from a server at the other end of the wire."""
    name, settings = passthru.wire(f"{HOST}/24"), tmp_path / "udhcpd.conf"
    (tmp_path / "leases").touch()
    settings.write_text(f"interface {name}\nstart {LEASE}\nend {LEASE}\nlease_file {tmp_path}/leases\n"
                        f"pidfile {tmp_path}/pid\noption subnet 255.255.255.0\noption router {HOST}\n")
    with passthru.Daemon(["busybox", "udhcpd", "-f", str(settings)], (tmp_path / "pid").exists), start("--vdpa", real[0]) as vm:
        vm.ok(f"while ! ifconfig eth0 | grep -q 'inet addr:{LEASE} '; do sleep 0.2; done")
        assert f"default via {HOST}" in vm.ok("ip route")
        vm.ok(f"ping -c 3 -W 20 {HOST}")
        end(vm)


def test_a_limit_of_locked_memory_is_one_clear_line(real):
    limited = ["/bin/sh", "-c", 'ulimit -l 1024; exec "$@"', "sh"]
    with Terminal(argv=limited + command("--vdpa", real[0])) as vm:
        vm.expect(r"toyvmm: vdpa0: the device needs all of the guest's memory locked, 256 MiB, and 1 MiB is the limit")
        assert vm.end() == 1


def test_what_is_not_there_is_one_clear_line(real):
    with Terminal("--vdpa", "/dev/vhost-vdpa-77") as vm:
        vm.expect("toyvmm: vdpa0: /dev/vhost-vdpa-77 is not there: sudo modprobe vhost_vdpa")
        assert vm.end() == 1
    with Terminal("--vdpa", "/dev/null") as vm:
        vm.expect("toyvmm: vdpa0: /dev/null is no vhost device")
        assert vm.end() == 1
    fd = os.open(real[1], os.O_RDWR)
    with Terminal("--vdpa", real[1]) as vm:
        vm.expect(f"toyvmm: vdpa0: {real[1]} is busy")
        assert vm.end() == 1
    os.close(fd)


def test_simulated_devices():
    """The network returns what is sent to it: the guest sees its own frames come back."""
    net, blk = passthru.vdpa_sim("sim0", "net"), passthru.vdpa_sim("sim1", "blk")
    with start("--vdpa", net, "--vdpa", blk, "--cpus", "2") as vm:
        passthru.check_disk(vm)
        vm.ok("ifconfig eth0 hw ether 02:00:00:00:00:02; ifconfig eth0 192.168.20.2 up; arp -s 192.168.20.3 02:00:00:00:00:03")
        vm.run("ping -c 3 -W 1 192.168.20.3")
        assert int(vm.ok("cat /sys/class/net/eth0/statistics/rx_packets")) >= 3
        passthru.driver_comes_and_goes(vm, vm.ok("basename $(readlink -f /sys/block/vda/device)"), "virtio_blk", 3)
        end(vm)
    for name in "sim0", "sim1":
        passthru.remove_vdpa(name)
