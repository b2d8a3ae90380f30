# SPDX-License-Identifier: Apache-2.0
"""Many logins on the serial port, each word typed the moment its prompt is there, and the driver's count of it all."""
import os
import re

import pytest

from vm import PROMPT, Terminal

LOGINS = int(os.environ.get("LOGINS", "15"))


class Counting(Terminal):
    """Counts what is typed."""
    typed = 0

    def send(self, text):
        self.typed += len(text)
        super().send(text)


@pytest.mark.parametrize("options", [("--transport", "mmio", "--cpus", "4", "--net", "user"), ("--cpus", "1")],
                         ids=["mmio-4", "pci-1"])
def test_every_login_is_heard(options):
    """Busybox' getty and login throw away what was typed before a prompt, never after: so none may time out."""
    with Counting(*options) as vm:
        vm.shell()
        for n in range(LOGINS):
            vm.send("exit\r")
            vm.log_in()
            assert vm.expect(f"({PROMPT}|Login timed out)")[1] == PROMPT, f"login {n} was not heard"
        counts = vm.ok("grep uart:16550A /proc/tty/driver/serial")
        assert int(re.search(r" rx:(\d+)", counts)[1]) == vm.typed, counts
        assert not any(f" {lost}:" in counts for lost in ("fe", "pe", "brk", "oe")), counts
        vm.send("poweroff\r")
        assert vm.end() == 0
