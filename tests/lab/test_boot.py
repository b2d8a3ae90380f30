# SPDX-License-Identifier: Apache-2.0
"""Both kinds of kernel file boot to a login, and the three ways out of a healthy guest."""
import pytest

from vm import BZIMAGE, ELF, Terminal


@pytest.mark.parametrize("kernel", [ELF, BZIMAGE], ids=["elf", "bzimage"])
def test_boots_to_a_login_and_powers_off(kernel):
    with Terminal(kernel=kernel) as vm:
        vm.shell()
        assert "Linux" in vm.ok("uname -a")
        vm.send("poweroff\r")
        assert vm.end() == 0
