# SPDX-License-Identifier: Apache-2.0
"""Both kinds of kernel file, and other ways to start a machine, end at a login prompt."""
import json
import os

import pexpect

from vm import BUILD, BZIMAGE, ELF, INITRD, PATIENCE, ROOT, Terminal, script


def test_elf_boots_to_a_login_and_powers_off():
    with Terminal(kernel=ELF) as vm:
        vm.log_in(password="wrong")
        vm.expect("Login incorrect")
        vm.shell()
        assert vm.ok("nproc") == "1"
        vm.send("poweroff\r")
        assert vm.end() == 0


def test_run_linux_boots_the_bzimage_and_knows_the_terminals_size():
    """What `make run_linux` calls, on a terminal of unusual size."""
    vm = Terminal(argv=["env", f"BUILD={BUILD}", "images/run-linux"], size=(31, 97))
    with vm:
        vm.shell()
        with open(f"/proc/{vm.pid}/cmdline", encoding="utf-8") as words:
            assert BZIMAGE in words.read() or os.path.exists(os.path.join(ROOT, "vmlinux.bin"))
        assert vm.ok("stty size") == "31 97"
        vm.send("reboot\r")
        assert vm.end() == 0


def test_configuration_file_boots(tmp_path):
    config = {
        "boot-source": {
            "kernel_image_path": ELF,
            "initrd_path": INITRD,
            "boot_args": "console=ttyS0 quiet " + script("mount -t proc proc /proc; nproc; echo end; poweroff -f"),
        },
        "machine-config": {"vcpu_count": 2, "mem_size_mib": 128},
    }
    path = tmp_path / "vm.json"
    path.write_text(json.dumps(config))
    with Terminal(argv=[os.path.join(BUILD, "toyvmm"), "run", "--config", str(path)]) as vm:
        vm.expect(r"2\r\nend")
        assert vm.end() == 0


def test_two_machines_at_once():
    with Terminal() as one, Terminal() as other:
        one.shell()
        other.shell()
        assert one.ok("echo one >/tmp/name; cat /tmp/name") == "one"
        assert other.run("cat /tmp/name")[1] != 0
        for vm in one, other:
            vm.send("poweroff -f\r")
        for vm in one, other:
            assert vm.end() == 0


def test_shell_without_toyvmm_sees_the_same_terminal():
    """The measure itself: without toyvmm the settings before and after are the same, with `stty raw` they are not."""
    with Terminal(argv=["true"]) as nothing:
        assert nothing.end() == 0
    with Terminal(argv=["stty", "raw"]) as raw:
        after = raw.expect(r"after ([0-9a-f:]+)\s")[1]
        assert after != raw.before
        raw.tty.expect(pexpect.EOF, timeout=PATIENCE)
