# SPDX-License-Identifier: Apache-2.0
# lab: --kernel $BUILD/lab/bookworm-backports --device nvme,virtio-net
"""`make tour`: some of its stops, of each family one. The other paths have tests of their own."""
import os
import re
import subprocess

TOUR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lab/tour")
STOPS = ("disk-pci", "disk-vhost-user", "disk-vfio", "net-vhost")


def test_stops_and_the_table_at_the_end():
    done = subprocess.run([TOUR, "-s", "1", *STOPS], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
                          check=False)
    assert done.returncode == 0 and "!!" not in done.stdout, (done.stdout, done.stderr)
    for stop in STOPS:
        assert re.search(rf"^{stop} .* \d+ us +\d+ M", done.stdout, re.MULTILINE), done.stdout


def test_a_stop_that_is_not_there():
    done = subprocess.run([TOUR, "disk-tape"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "no path 'disk-tape'" in done.stderr, done.stderr
