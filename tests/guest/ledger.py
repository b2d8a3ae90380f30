# SPDX-License-Identifier: Apache-2.0
"""What tests/guest/ledger.c wrote: the console's numbers, and the slots of a disk, compared."""
import re
import struct

SLOTS, STRIDE, SECTOR = 4096, 1597, 512
SIZE = SLOTS * SECTOR


def numbers(console):
    """The numbers that were said. A last line that was cut off is none."""
    return [int(line, 16) for line in re.findall(rb"^(0x[0-9a-f]+)\r?\n", console, re.M)]


class Ledger:
    """What the disks have acknowledged, over all the runs of the guest, and whether an image has it."""

    def __init__(self):
        self.slots = {}  # slot: the last number that was said
        self.count = 0

    @property
    def next(self):
        """Where the next run begins: past whatever was written without being said."""
        return max(self.slots.values(), default=0) + 64

    def add(self, console):
        found = numbers(console)
        for n in found:
            slot = n * STRIDE % SLOTS
            self.slots[slot] = max(n, self.slots.get(slot, 0))
        self.count += len(found)
        return len(found)

    def lost(self, image):
        """The numbers of which an image (a file object) has something older, or what is none of ours."""
        image.seek(0)
        data = image.read(SIZE)
        assert len(data) == SIZE
        bad = []
        for slot, said in self.slots.items():
            words = set(struct.unpack_from("<64Q", data, slot * SECTOR))
            there = words.pop()
            if words or there < said or there * STRIDE % SLOTS != slot:
                bad.append((said, there))
        return bad
