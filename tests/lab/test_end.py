# SPDX-License-Identifier: Apache-2.0
"""The ways out: exit codes, the guest's last words, and a terminal as it was."""
import os
import signal

import pytest

from vm import CTRL_A, Terminal, script

BUSYBOX = "rdinit=/bin/busybox --"  # one applet is the first process: nothing else has to start


@pytest.mark.parametrize("way", ["", "reboot=k", "reboot=t", "reboot=a"])
def test_reboot_ends_with_0(way):
    """As the kernel likes, by the keyboard controller, by a triple fault, by ACPI."""
    with Terminal(cmdline=f"{way} {BUSYBOX} reboot -f") as vm:
        assert vm.end() == 0


def test_poweroff_ends_with_0():
    with Terminal(cmdline=f"{BUSYBOX} poweroff -f") as vm:
        assert vm.end() == 0


def test_panic_without_init_ends_with_3():
    """No driver for pvpanic is loaded that early: the panic text and the reset after it must do."""
    with Terminal(cmdline="rdinit=/nonexistent init=/nonexistent") as vm:
        vm.expect("Kernel panic - not syncing")
        assert vm.end() == 3


def test_panic_with_pvpanic_ends_with_3():
    """panic=0: the kernel itself would wait for ever, so it is the device that tells."""
    crash = "mount -t proc proc /proc; modprobe pvpanic-mmio; echo c >/proc/sysrq-trigger"
    with Terminal(cmdline=f"panic=0 {script(crash)}") as vm:
        vm.expect("Kernel panic - not syncing: sysrq triggered crash")
        vm.expect("end Kernel panic")
        assert vm.end() == 3


def test_words_after_two_dashes_are_inits_alone():
    """Whatever toyvmm adds to the command line goes before them."""
    with Terminal(cmdline=script("echo my name is $0; poweroff -f")) as vm:
        vm.expect(r"my name is /bin/sh\r\n")
        assert vm.end() == 0


def test_panic_after_two_dashes_ends_with_3():
    with Terminal(cmdline=script("exit 7")) as vm:
        vm.expect("Kernel panic - not syncing: Attempted to kill init")
        assert vm.end() == 3


def test_keys_for_toyvmm():
    with Terminal(cmdline=script("stty raw -echo; echo up; head -c 3 | od -An -tx1; echo down; sleep 9999")) as vm:
        vm.expect("up")
        vm.send(CTRL_A + "h")
        vm.expect("Ctrl-A x +quit")
        vm.send(CTRL_A + CTRL_A)
        vm.send(CTRL_A + "a")
        vm.send("!")
        vm.expect("01 01 21")
        vm.expect("down")
        vm.send(CTRL_A + "x")
        assert vm.end() == 0


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGSEGV", "SIGABRT"])
def test_signal_ends_it_and_gives_the_terminal_back(name):
    number = getattr(signal, name)
    with Terminal(cmdline=script("echo up; sleep 9999")) as vm:
        vm.expect("up")
        assert vm.settings() != vm.before, "the terminal is not in raw mode"
        os.kill(vm.pid, number)
        assert vm.end() == 128 + number


def test_silent_guest_brings_a_hint_and_can_be_quit():
    """No console= for the kernel, and nothing that reads the serial port: what is typed has nowhere to go."""
    with Terminal("--cmdline", "rdinit=/bin/sleep -- 9999", cmdline=None) as vm:
        vm.send("is anybody there?\r")
        vm.expect("toyvmm: .*console=ttyS0")
        vm.send(CTRL_A + "x")
        assert vm.end() == 0


def test_guest_that_stopped_reading_can_be_quit():
    """Its terminal's buffer is full, so the guest holds RTS back; the keys for toyvmm still are for toyvmm."""
    with Terminal(cmdline=script("stty raw -echo crtscts; echo up; sleep 9999")) as vm:
        vm.expect("up")
        for _ in range(8):
            vm.send("x" * 1000)
        vm.send(CTRL_A + "x")
        assert vm.end() == 0
