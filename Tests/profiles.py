# SPDX-License-Identifier: Apache-2.0
"""Adds up the raw profiles in a folder, and prints the names of the files that are left to merge.

Processes of one program write their counters in one order, so they are added as they lie. llvm-profdata understands
every file anew, which took it 110 s of a processor for the 4 500 files of a run. What isn't of the form known here, a
newer compiler's or cut short, is left to llvm-profdata to judge.

usage: profiles.py FOLDER
"""

import struct
import sys
from pathlib import Path

MAGIC, VERSION = 0xFF6C70726F667281, 10
#: The numbers in front, of which the thirteenth is an address and so another in each process; a function's record.
HEADER, ADDRESS, RECORD = struct.Struct("<16Q"), 12, 64


def main(folder: Path):
    # By what the profiles of one program have in common: one of them, where its counters are, and their sum.
    sums: dict[tuple, tuple[bytes, slice, int]] = {}
    for file in sorted(folder.glob("*.profraw")):
        octets = file.read_bytes()
        if place := counters(octets):
            numbers = list(HEADER.unpack_from(octets))
            numbers[ADDRESS] = 0
            kind = (*numbers, octets[HEADER.size : HEADER.size + numbers[2]])
            first, _, sum = sums.get(kind, (octets, place, 0))
            # All at once, as digits of one number: no counter comes near 2^64.
            sums[kind] = first, place, sum + int.from_bytes(octets[place], "little")
        else:
            print(file)
    for number, (octets, place, sum) in enumerate(sums.values()):
        file = folder / f"{number}.sum"
        written = bytearray(octets)
        written[place] = sum.to_bytes(place.stop - place.start, "little")
        file.write_bytes(written)
        print(file)


def counters(octets: bytes) -> slice | None:
    """Where they are, if all of the file is there: numbers, the program's id, records, counters and names."""
    if len(octets) < HEADER.size:
        return None
    numbers = HEADER.unpack_from(octets)
    form, (ids, records, before, count, after, bitmap, behind, names) = numbers[:2], numbers[2:10]
    start = HEADER.size + ids + records * RECORD + before
    stop = start + count * 8
    is_whole = len(octets) == stop + after + bitmap + behind + -(-names // 8) * 8
    return slice(start, stop) if form == (MAGIC, VERSION) and is_whole else None


main(Path(sys.argv[1]))
