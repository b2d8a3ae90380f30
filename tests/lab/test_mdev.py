# SPDX-License-Identifier: Apache-2.0
# lab: --kernel $BUILD/lab/bookworm-backports
"""A mediated device: Linux' sample mtty, a PCI serial card that a kernel module makes up, in a stock guest."""
import passthru as p


def test_serial_card_sends_back_what_it_is_sent():
    path = p.mdev("mtty", "mtty-2")
    with p.start(path) as guest:
        guest.shell()
        assert "4348:3253" in guest.ok("lspci -ns 00:01.0")
        tty = "/dev/" + guest.ok("ls /sys/bus/pci/devices/0000:00:01.0/tty | head -n 1")
        guest.ok(f"stty -F {tty} 9600 raw -echo")
        for word in "hello", "mediated", "world":
            assert guest.ok(f"(sleep 1; echo {word} >{tty}) & head -n 1 <{tty}").splitlines()[-1] == word
        p.power_off(guest)
    p.remove_mdev(path)
