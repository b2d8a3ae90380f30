# SPDX-License-Identifier: Apache-2.0
# lab: --device e1000e,edu,shared
"""PCI devices of the outer machine, given to a stock Linux by VFIO: a network card, INTx, a group of two."""
import hashlib

import pytest

import nets
import passthru as p

HOST, GUEST = "192.168.9.1", "192.168.9.2"
SIZE = 4 * nets.MIB
RAISE, ACK = 0x60, 0x64  # registers of QEMU's edu device (docs/specs/edu.txt)


@pytest.fixture(scope="module")
def edu():
    p.bind(p.EDU)
    return p.EDU


def all_masked(guest, masked):
    """MSI-X's bit that masks all vectors of the card, in its configuration space."""
    guest.ok(f"setpci -s 00:01.0 CAP_MSIX+2.w={'4000' if masked else '0000'}:4000")


def test_e1000e_carries_bulk_data_both_ways_and_its_interrupts_can_be_masked(tmp_path):
    p.bind(p.E1000E)
    p.wire(f"{HOST}/24")
    servers = nets.Servers(tmp_path, SIZE)
    with p.start(p.E1000E, kernel=p.HARDWARE_ELF, initrd=p.HARDWARE_INITRD, options=("--cpus", "2")) as guest:
        guest.shell()
        card = guest.ok("ls /sys/bus/pci/devices/0000:00:01.0/net")
        guest.ok(f"ip addr add {GUEST}/24 dev {card}; ip link set {card} up")
        guest.ok(f"for i in $(seq 60); do ping -c 1 -W 1 {HOST} && break; sleep 0.5; done")
        nets.both_ways(guest, HOST, servers, SIZE)
        # Each vector goes to the other processor while data flows: masked, rewritten, unmasked.
        guest.ok(f"(while [ ! -e /tmp/stop ]; do for c in 1 2; do for i in $(grep {card} /proc/interrupts | cut -d: -f1); do "
                 "echo $c >/proc/irq/$i/smp_affinity; done; done; done) & true")
        nets.both_ways(guest, HOST, servers, SIZE)
        guest.ok("touch /tmp/stop; wait")
        # What comes while all are masked waits, and comes then.
        all_masked(guest, True)
        before = p.interrupts(guest, card)
        p.tool("sh", "-c", f"ping -c 3 -i 0.2 -W 1 {GUEST} || true")
        assert p.interrupts(guest, card) == before
        all_masked(guest, False)
        out = guest.ok(f"ping -c 20 -i 0.1 -s 1400 {HOST}")
        assert " 0% packet loss" in out, out
        assert p.interrupts(guest, card) > before > 0
        rom = f"{p.PCI}/devices/{p.E1000E}/rom"
        with open(rom, "w", encoding="ascii") as switch:
            switch.write("1")
        with open(rom, "rb") as theirs:
            digest = hashlib.md5(theirs.read()).hexdigest()
        rom = "/sys/bus/pci/devices/0000:00:01.0/rom"
        guest.ok(f"echo 1 >{rom}")
        assert guest.ok(f"md5sum <{rom}").split()[0] == digest and guest.ok(f"grep -c 'ROM of the lab' {rom}") == "1"
        p.power_off(guest)
    servers.stop()


def bar(guest, slot):
    return int(guest.ok(f"setpci -s {slot} BASE_ADDRESS_0"), 16) & ~0xf


def get(guest, address):
    return int(guest.ok(f"busybox devmem {address:#x} 32"), 16)


def put(guest, address, value):
    guest.ok(f"busybox devmem {address:#x} 32 {value:#x}")


def test_intx_and_a_bar_that_moves(edu):
    """uio_pci_generic counts INTx, and disables it in the command register until it is read."""
    with p.start(edu) as guest:
        guest.shell()
        guest.ok("modprobe uio_pci_generic; echo 1234 11e8 >/sys/bus/pci/drivers/uio_pci_generic/new_id")
        at = bar(guest, "00:01.0")
        assert get(guest, at) & 0xff == 0xed
        guest.ok("exec 5</dev/uio0")  # a read gives the count once it is another than at the opening
        for n in range(1, 4):
            put(guest, at + RAISE, 1)
            assert int(guest.ok("dd bs=4 count=1 <&5 2>/dev/null | od -An -tu4")) == n
            put(guest, at + ACK, 1)
            guest.ok("setpci -s 00:01.0 COMMAND=0000:0400")  # INTx is on again
        guest.ok(f"setpci -s 00:01.0 BASE_ADDRESS_0={at + 0x1000000:x}")
        assert get(guest, at + 0x1000000) & 0xff == 0xed
        assert get(guest, at) == 0xffffffff
        p.power_off(guest)


def test_devices_of_one_group_go_together():
    p.bind(p.SHARED_EDU)
    p.bind(p.SHARED_TESTDEV)
    with p.start(p.SHARED_EDU, p.SHARED_TESTDEV) as guest:
        guest.shell()
        assert guest.ok("lspci -n | cut -d' ' -f1,3").split() == ["00:00.0", "1b36:0008", "00:01.0", "1234:11e8",
                                                                "00:02.0", "1b36:0005"]
        p.power_off(guest)


def test_a_device_in_use_is_not_given_twice_and_the_host_can_take_it_back(edu):
    with p.start(edu) as guest:
        guest.shell()
        at = bar(guest, "00:01.0")
        assert "it is in use" in p.refused(edu)
        p.bind(edu, "")  # waits until toyvmm has let go of it
        assert guest.ok("setpci -s 00:01.0 VENDOR_ID") == "ffff"
        assert get(guest, at) == 0xffffffff
        p.power_off(guest)
    p.bind(edu)
