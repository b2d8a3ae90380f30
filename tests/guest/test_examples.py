# SPDX-License-Identifier: Apache-2.0
"""Each file of examples/ as a machine: with a bare-metal guest for the kernel, and files of these names."""
import glob
import json
import os
import re
import socket
import subprocess

import pytest

from test_guests import BUILD, ROOT, TOYVMM

EXAMPLES = sorted(glob.glob(f"{ROOT}/examples/*.json"))
NET, BLK, CONSOLE, RNG, BALLOON, VSOCK = 1, 2, 3, 4, 5, 19


def own_network():
    """Words that run a command in a network namespace of its own, with the right to make taps there."""
    make = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    words = [*make, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network namespace of our own to be had here")
    return words


def needs_tap(machine):
    kinds = [net.get("kind", "tap") for net in machine.get("network-interfaces", [])]
    if "tap" in kinds and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("/dev/net/tun may not be opened here")


def prepare(machine, directory):
    """Puts the guest in the kernel's place, and makes what the file names; whoever has to listen does."""
    boot = machine["boot-source"]
    boot["kernel_path" if "kernel_path" in boot else "kernel_image_path"] = f"{BUILD}/guest/devices.elf"
    if boot.get("initrd_path"):
        boot["initrd_path"] = "initrd.img"
        (directory / "initrd.img").write_bytes(bytes(4096))
    for drive in machine.get("drives", []):
        (directory / drive["path_on_host"]).write_bytes(bytes(1 << 20))
    listeners = []
    for net in machine.get("network-interfaces", []):
        if net.get("kind") == "passt":
            listeners.append(socket.socket(socket.AF_UNIX))
            listeners[-1].bind(str(directory / net["socket"]))
            listeners[-1].listen()
    return listeners


def expected_devices(machine):
    ids = [BLK] * len(machine.get("drives", [])) + [NET] * len(machine.get("network-interfaces", []))
    for section, number in ("console", CONSOLE), ("entropy", RNG), ("vsock", VSOCK), ("balloon", BALLOON):
        ids += [number] if machine.get(section) is not None else []
    return ids


def serial_file(machine):
    serial = machine.get("serial", {})
    return serial.get("serial_out_path") or serial.get("path")


@pytest.mark.parametrize("example", EXAMPLES, ids=os.path.basename)
def test_example_runs_as_it_says(example, tmp_path):
    with open(example, encoding="utf-8") as file:
        machine = json.load(file)
    needs_tap(machine)
    listeners = prepare(machine, tmp_path)
    (tmp_path / "machine.json").write_text(json.dumps(machine))
    words = [*own_network(), TOYVMM, "run", "--quiet", "--config", "machine.json"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, timeout=60, check=False)
    for listener in listeners:
        listener.close()
    out = (tmp_path / serial_file(machine)).read_bytes() if serial_file(machine) else done.stdout
    out = out.decode(errors="replace").replace("\r", "")
    assert done.returncode == 0 and done.stderr == b"" and "PASS" in out, (done, out)

    found = re.findall(r"^DEVICE (\w+) (\w+)$", out, re.M)
    boot = machine["boot-source"]
    mmio = "pci=off" in boot.get("boot_args", "") or "kernel_path" in boot
    assert [int(number, 16) for _, number in found] == expected_devices(machine)
    assert {transport for transport, _ in found} <= {"mmio" if mmio else "pci"}

    cmdline = re.search(r"^CMDLINE (.*)$", out, re.M)[1].split()
    given = boot.get("boot_args", "console=ttyS0").split()
    assert cmdline[-len(given):] == given
    roots = [drive for drive in machine.get("drives", []) if drive.get("is_root_device")]
    assert len([word for word in cmdline if word.startswith("root=")]) == len(roots)
    assert len([word for word in cmdline if word.startswith("virtio_mmio.device=")]) == (len(found) if mmio else 0)


def test_there_are_examples():
    assert len(EXAMPLES) >= 8
