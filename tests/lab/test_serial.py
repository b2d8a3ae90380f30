# SPDX-License-Identifier: Apache-2.0
"""The serial port's other ends: pipes, /dev/null, nothing, a pty, a socket, a file; floods in both directions."""
import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from pexpect import fdpexpect, popen_spawn

from vm import PATIENCE, Console, command, script

HELLO = script("echo hello from the guest; poweroff -f")


@pytest.fixture(name="start")
def start_fixture():
    """Starts toyvmm with pipes for its three streams. It is killed when the test ends, or does not."""
    started = []

    def start(*options, argv=None, **more):
        streams = {name: more.pop(name, subprocess.PIPE) for name in ("stdin", "stdout", "stderr")}
        vm = subprocess.Popen(argv or command(*options, **more), **streams)
        watchdog = threading.Timer(2 * PATIENCE, vm.kill)
        watchdog.start()
        started.append((vm, watchdog))
        return vm
    yield start
    for vm, watchdog in started:
        watchdog.cancel()
        vm.kill()
        vm.wait()


def finish(vm):
    """Waits for the end: exit code, standard output."""
    out, err = vm.communicate(timeout=PATIENCE)
    assert b"toyvmm: " not in (err or b""), err
    return vm.returncode, (out or b"").decode(errors="replace")


def read_until(vm, text):
    """Reads standard output up to a text."""
    out = b""
    while text not in out:
        more = os.read(vm.stdout.fileno(), 1)
        assert more, (out, vm.stderr.read())
        out += more


def on_file(fd):
    return Console(fdpexpect.fdspawn(fd, encoding="utf-8", codec_errors="replace", timeout=PATIENCE))


def test_login_through_pipes():
    tty = popen_spawn.PopenSpawn(command(), encoding="utf-8", codec_errors="replace", timeout=PATIENCE)
    vm = Console(tty).shell()
    assert vm.ok("echo 42") == "42"
    vm.send("poweroff\r")
    assert tty.wait() == 0


@pytest.mark.parametrize("stdin", ["/dev/null", "closed", "empty pipe"])
def test_standard_input_that_gives_nothing(start, stdin):
    words = command(cmdline=HELLO)
    if stdin == "closed":
        words = ["/bin/sh", "-c", 'exec "$@" <&-', "sh"] + words
    code, out = finish(start(argv=words, stdin=subprocess.DEVNULL if stdin == "/dev/null" else subprocess.PIPE))
    assert code == 0 and "hello from the guest\r\n" in out


def test_serial_none_is_silent(start):
    code, out = finish(start("--serial", "none", cmdline=HELLO))
    assert code == 0 and out == ""


def test_serial_to_a_file(start, tmp_path):
    path = tmp_path / "console"
    code, out = finish(start("--serial", f"file={path}", cmdline=HELLO))
    assert code == 0 and out == ""
    assert b"hello from the guest\r\n" in path.read_bytes()


def test_login_through_a_pty(start):
    vm = start("--serial", "pty", stdin=subprocess.DEVNULL)
    name = re.fullmatch(r"serial: (/dev/pts/\d+)\n", vm.stdout.readline().decode())[1]
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
    console = on_file(fd).shell()
    assert console.ok("tty") == "/dev/ttyS0"
    console.send("poweroff\r")
    console.expect("Power down")
    os.close(fd)
    code, out = finish(vm)
    assert code == 0 and out == ""


def connect(vm, path):
    """A client of the VM's console, once its socket is there."""
    client = socket.socket(socket.AF_UNIX)
    while vm.poll() is None:
        try:
            client.connect(str(path))
            return client
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.05)
    raise AssertionError(f"toyvmm ended: {vm.stderr.read()}")


def busy_ticks(pid):
    """The processor time a process has used, guest included."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def wait_until_idle(pid):
    """Until a guest has nothing more to do: half a second twice in a row in which it hardly ran."""
    quiet = 0
    while quiet < 2:
        before = busy_ticks(pid)
        time.sleep(0.5)
        quiet = quiet + 1 if busy_ticks(pid) - before <= 1 else 0


def test_socket_serves_one_client_after_the_other(start, tmp_path):
    """The first comes late and still sees the boot; the second goes on in the same session."""
    path = tmp_path / "socket"
    vm = start("--serial", f"socket={path}", stdin=subprocess.DEVNULL)
    connect(vm, path).close()  # it is there
    wait_until_idle(vm.pid)
    with connect(vm, path) as first:
        console = on_file(first.fileno())
        console.expect("Welcome to toyvmm")
        console.shell()
        assert console.ok("cd /tmp; echo 42; cd") == "42"
    with connect(vm, path) as second:
        console = on_file(second.fileno())
        console.send("\r")
        console.expect(r"root@toyvmm:~# ")
        assert console.ok("echo $((6*7))") == "42"
        console.send("poweroff\r")
        console.expect("Power down")
        code, out = finish(vm)
    assert code == 0 and out == ""
    assert not path.exists(), "the socket's file is left behind"


def guest_ram(fields):
    return int(fields["Size"]) >= 255 * 1024


def memory_beyond_the_guests(pid):
    """Resident KiB of a process with a guest of 256 MiB, that guest's memory left out."""
    total, fields = 0, {}
    with open(f"/proc/{pid}/smaps", encoding="ascii") as smaps:
        for line in smaps:
            word = line.split()
            if not word[0].endswith(":"):
                total += int(fields["Rss"]) if fields and not guest_ram(fields) else 0
                fields = {}
            elif len(word) > 1:
                fields[word[0][:-1]] = word[1]
    return total + (int(fields["Rss"]) if not guest_ram(fields) else 0)


def test_flood_of_input_arrives_whole(start, say):
    """More than any buffer on the way holds; toyvmm takes no more of it than the guest does."""
    data = os.urandom(120_000)
    reader = f"stty raw -echo crtscts; echo READY; head -c {len(data)} | md5sum; poweroff -f"
    vm = start(cmdline=script(reader))
    read_until(vm, b"READY")
    before = memory_beyond_the_guests(vm.pid)
    most = []

    def feed():
        for at in range(0, len(data), 20_000):
            vm.stdin.write(data[at:at + 20_000])
            vm.stdin.flush()
            most.append(memory_beyond_the_guests(vm.pid))
    feeder = threading.Thread(target=feed)
    feeder.start()
    rest = vm.stdout.read().decode(errors="replace")
    feeder.join()
    assert vm.wait(PATIENCE) == 0
    assert hashlib.md5(data).hexdigest() in rest, rest
    assert max(most) - before < 512, "toyvmm's memory grows with what it is sent"
    say(f"{len(data)} bytes of input: toyvmm's memory beyond the guest's from {before} to {max(most)} KiB")


def test_reader_who_stops_does_not_hold_up_the_guest(start):
    """The pipe's reader is stopped: the guest prints more than fits anywhere, powers off, and toyvmm ends."""
    flood = "head -c 200000 /dev/zero | tr '\\\\000' x; poweroff -f"
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        reader.send_signal(signal.SIGSTOP)
        try:
            vm = start(cmdline=script(flood), stdin=subprocess.DEVNULL, stdout=reader.stdin)
            assert finish(vm)[0] == 0
        finally:
            reader.kill()


def test_reader_who_goes_away_does_not_hold_up_the_guest(start):
    vm = start(cmdline=script("echo one; read x </proc/none; echo two; echo three; poweroff -f"), stdin=subprocess.DEVNULL)
    vm.stdout.close()
    assert vm.wait(PATIENCE) == 0


def test_idle_machine_sleeps(start, say):
    """Nobody types: the event loop's thread is not woken once, and the guest's memory is nearly all there is."""
    vm = start(stdin=subprocess.DEVNULL)
    read_until(vm, b"toyvmm login:")
    wait_until_idle(vm.pid)

    def wakeups():
        with open(f"/proc/{vm.pid}/task/{vm.pid}/status", encoding="ascii") as status:
            return [line.split()[1] for line in status if "voluntary_ctxt_switches" in line][0]
    before = wakeups()
    time.sleep(5)  # the span in which nothing may happen
    assert wakeups() == before
    say(f"idle guest of 256 MiB: {memory_beyond_the_guests(vm.pid)} KiB resident beyond its memory")
    vm.terminate()
    assert vm.wait(PATIENCE) == -signal.SIGTERM
