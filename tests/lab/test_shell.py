# SPDX-License-Identifier: Apache-2.0
"""One logged-in guest: what the machine looks like from inside, and whether its console is a good terminal."""
import re
import time

import pytest

from vm import CTRL_C, CTRL_Z, PROMPT


def test_all_processors_are_there(guest):
    assert guest.ok("nproc") == "4"


def test_memory_is_what_was_given(guest):
    """MemTotal leaves out the kernel itself: some 50 of 256 MiB."""
    kib = int(guest.ok("grep MemTotal /proc/meminfo").split()[1])
    assert 190 * 1024 < kib < 256 * 1024


def test_clock_is_right(guest):
    before = time.time()
    inside = int(guest.ok("date +%s"))
    assert before - 2 <= inside <= time.time() + 2  # both clocks were read from whole seconds


def test_random_numbers_are_ready_from_the_start(guest):
    """random.trust_cpu=off leaves only the seed that toyvmm hands the kernel."""
    assert re.search(r"\[ +0\.000000\] random: crng init done", guest.ok("dmesg | grep crng"))


def interrupts(guest, name):
    """How many interrupts of one kind there were so far, on all processors."""
    line = guest.ok(f"grep {name} /proc/interrupts")
    return sum(int(word) for word in line.split()[1:5])


def test_serial_port_interrupts(guest):
    before = interrupts(guest, "ttyS0")
    assert 0 < before < interrupts(guest, "ttyS0")


def test_every_processor_has_its_timer_and_runs_programs(guest):
    line = guest.ok("grep LOC: /proc/interrupts").split()
    assert all(int(count) > 0 for count in line[1:5]), line
    assert guest.ok("for i in 0 1 2 3; do taskset -c $i sh -c 'cut -d\" \" -f39 /proc/self/stat'; done").split() == \
        ["0", "1", "2", "3"]


def test_devices_are_those_of_the_board(guest):
    ports = guest.ok("cat /proc/ioports")
    assert "serial" in ports and "rtc" in ports and "keyboard" in ports
    assert "ttyS0" in guest.ok("dmesg | grep 16550A")


def test_nothing_in_the_kernels_log_is_an_error(guest):
    """But for the XSAVE area's size: the lab's emulated processor lets XSETBV pass KVM by, so CPUID cannot follow it."""
    log = guest.run("dmesg | grep -E 'BUG:|WARNING:|Oops|irmware [Bb]ug|lockup' | grep -v fpu__init_system_xstate")[0]
    assert log == ""


def test_ctrl_c_ends_a_program(guest):
    guest.send("sh -c 'echo r$((40+2)); exec sleep 9999'\r")
    guest.expect("r42\r\n")
    guest.send(CTRL_C)
    guest.expect_exact(PROMPT)
    guest.send("echo code $?.\r")
    guest.expect(r"code 130\.")
    guest.expect_exact(PROMPT)


def test_ctrl_z_stops_a_job_and_fg_goes_on(guest):
    guest.send("sh -c 'echo r$((40+2)); exec sleep 9999'\r")
    guest.expect("r42\r\n")
    guest.send(CTRL_Z)
    guest.expect("Stopped")
    guest.expect_exact(PROMPT)
    assert "Stopped" in guest.ok("jobs")
    guest.send("fg\r")
    guest.expect("fg\r\n")
    guest.expect("sleep 9999")
    guest.send(CTRL_C)
    guest.expect_exact(PROMPT)
    assert guest.ok("jobs") == ""


def test_tab_completes(guest):
    guest.send("echo /etc/initt\t\r")
    guest.expect(r"\n/etc/inittab")
    guest.expect_exact(PROMPT)


def test_arrow_keys_find_the_last_command(guest):
    guest.send("echo u$((40+2))\r")
    guest.expect("u42\r\n")
    guest.expect_exact(PROMPT)
    guest.send("\x1b[A\r")
    guest.expect("u42\r\n")
    guest.expect_exact(PROMPT)


def test_vi_writes_a_file(guest):
    guest.send("vi /tmp/v\r")
    guest.expect("/tmp/v.*1/1")
    guest.send("iwritten with vi")
    guest.expect("written with vi")
    guest.send("\x1b")  # alone: what follows at once would make it the start of an arrow key
    guest.expect(r"- /tmp/v \[Modified\]")
    guest.send(":wq\r")
    guest.expect_exact(PROMPT)
    assert guest.ok("cat /tmp/v") == "written with vi"


def test_top_ends_with_q(guest):
    guest.send("top\r")
    guest.expect("Load average")
    guest.send("q")
    guest.expect_exact(PROMPT)
    assert guest.ok("echo still here") == "still here"


def test_long_line_arrives_whole(guest):
    """Longer than every FIFO on the way, typed at once."""
    text = "0123456789" * 20
    assert guest.ok(f"echo {text} | wc -c") == "201"


@pytest.mark.parametrize("program", ["syslogd", "klogd", "sleep"])  # sleep: where there is no hvc0
def test_what_init_starts_leaves_the_terminal_alone(guest, program):
    """Busybox' init resets the terminal of each program that it starts. While somebody logs in, that is one login lost."""
    assert guest.ok(f"stty -ixoff; before=$(stty -g); old=$(pidof {program}); kill $old; "
                    f'until new=$(pidof {program}) && [ "$new" != "$old" ]; do usleep 100000; done; '
                    '[ "$before" = "$(stty -g)" ] && echo same; stty ixoff') == "same"
