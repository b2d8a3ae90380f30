# SPDX-License-Identifier: Apache-2.0
"""Bare-metal guests under whatever /dev/kvm there is: a PASS on the console and the right exit code."""
import datetime
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
TOYVMM = os.path.join(BUILD, "toyvmm")


def run(guest, *options, data=b"", timeout=60):
    """Runs one guest to its end: exit code, console output, what toyvmm itself said."""
    memory = [] if "--memory" in options else ["--memory", "64M"]
    command = [TOYVMM, "run", "--quiet", "--kernel", f"{BUILD}/guest/{guest}.elf", *memory, *options]
    done = subprocess.run(command, input=data, capture_output=True, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def passes(guest, *options, **more):
    code, out, err = run(guest, *options, **more)
    assert "FAIL" not in out and "PASS" in out, (out, err)
    assert code == 0, (code, out, err)
    return out


@pytest.mark.parametrize("guest", ["hello", "serial", "platform", "reset_acpi", "reset_i8042", "reset_triple"])
def test_guest_passes(guest):
    passes(guest)


@pytest.mark.parametrize("cpus", [1, 2, 4, 32])
def test_all_processors_start(cpus):
    assert f"CPUS {cpus:#x}\n" in passes("smp", "--cpus", str(cpus))


@pytest.mark.parametrize("memory,mib", [("32M", 31), ("512M", 511), ("3G", 3071), ("6G", 6143)])
def test_memory_map_says_how_much(memory, mib):
    out = passes("memory", "--memory", memory)
    assert f"RAM {mib:#x} MiB" in out


def test_clock_tells_todays_date():
    before = datetime.datetime.now(datetime.timezone.utc)
    out = passes("platform")
    after = datetime.datetime.now(datetime.timezone.utc)
    days = {day.strftime("DATE 0x%Y%m%d bcd") for day in (before, after)}
    assert any(day in out for day in days), out


def test_crash_ends_with_4_and_a_report():
    code, out, err = run("crash")
    assert code == 4 and "about to crash" in out
    assert "the guest crashed on vCPU 0" in err and "triple fault" in err


def test_crash_of_another_processor_is_no_reset():
    code, out, err = run("crash_ap", "--cpus", "2")
    assert code == 4 and "about to crash" in out
    assert "the guest crashed on vCPU 1" in err


def test_crash_ends_though_nobody_reads_standard_error():
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(write, True)
    command = [TOYVMM, "run", "--quiet", "--kernel", f"{BUILD}/guest/crash.elf", "--memory", "64M"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write, timeout=60,
                          check=False)
    os.close(read)
    os.close(write)
    assert done.returncode == 4


def test_pvpanic_ends_with_3_after_the_last_words():
    code, out, _ = run("panic")
    assert code == 3 and "last words" in out


def test_megabytes_of_input_arrive_whole():
    data = bytes(b for b in os.urandom(400_000) if b != 4)
    total = 0
    for byte in data:
        total = (total * 31 + byte) & 0xFFFFFFFF
    out = passes("echo", data=data + b"\x04", timeout=300)
    assert f"bytes {len(data):#x} sum {total:#x}\n" in out


def test_end_of_input_does_not_end_the_guest():
    assert "PASS" in passes("serial", data=b"")


def test_reader_who_stops_does_not_block_the_guest():
    """Nobody reads the pipe: 256 KiB of output, the guest goes on to power off and toyvmm ends."""
    read, write = os.pipe()
    command = [TOYVMM, "run", "--quiet", "--kernel", f"{BUILD}/guest/flood.elf", "--memory", "64M"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=write, timeout=120, check=False)
        assert done.returncode == 0
    finally:
        os.close(read)
        os.close(write)


def test_fast_reader_loses_nothing():
    code, out, _ = run("flood")
    lines = out.splitlines()
    assert code == 0 and lines[-1] == "END OF FLOOD" and len(lines) == 4097
    for number, line in enumerate(lines[:-1]):
        assert line == "".join(chr(ord("!") + (number + i) % 90) for i in range(63)), number


def test_serial_to_a_file_gets_all_of_it(tmp_path):
    path = tmp_path / "console.log"
    code, out, _ = run("flood", "--serial", f"file={path}")
    assert code == 0 and out == ""
    assert path.read_bytes().count(b"\n") == 4097


def test_closed_standard_descriptors():
    """Started with 0, 1 and 2 closed, as some daemons do."""
    command = f'exec "{TOYVMM}" run --kernel "{BUILD}/guest/hello.elf" --memory 64M <&- >&- 2>&-'
    assert subprocess.run(["/bin/sh", "-c", command], timeout=60, check=False).returncode == 0
