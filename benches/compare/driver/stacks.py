"""The stacks that perf recorded, and where in the source they were."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# An offset in a file, a symbol, the file.
_FRAME = re.compile(r"\s*([0-9a-f]+) .*\((.*)\)$")
_PLACE = re.compile(r"/src/([\w/]+\.rs):(\d+)")


@dataclass(frozen=True)
class Place:
    """A line of ours."""

    file: str
    line: int


def stacks(data: Path) -> Iterator[list[tuple[int, str]]]:
    """Of each sample, innermost first: offsets in files, and the files."""
    script = ["perf", "script", "--input", str(data), "--fields", "ip,sym,dso", "--no-inline"]
    told = subprocess.run(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    for sample in re.split(r"\n\s*\n", told):
        frames = [frame for line in sample.splitlines() if (frame := _FRAME.match(line))]
        if frames:
            yield [(int(frame[1], 16), frame[2]) for frame in frames]


# That of binutils finds no lines in what BOLT has moved.
SYMBOLIZERS = ("llvm-addr2line-22", "llvm-addr2line")


class Binary:
    """A program with line tables."""

    def __init__(self, path: Path) -> None:
        self._path = path
        told = _output("readelf", "--segments", "--wide", str(path))
        # Offset in the file, address, size in the file.
        loaded = [line.split()[1:5] for line in told.splitlines() if line.split()[:1] == ["LOAD"]]
        self._segments = [(int(at, 16), int(address, 16), int(size, 16)) for at, address, _, size in loaded]

    def innermost(self, samples: Iterator[list[tuple[int, str]]]) -> list[Place | None]:
        """For each sample the innermost line of ours, also one that was inlined; None where no frame is ours."""
        # A caller's frame names what comes after the call.
        ours = [
            [self._address(offset - (depth > 0)) for depth, (offset, file) in enumerate(sample) if file == str(self._path)]
            for sample in samples
        ]
        places = self._places(sorted({address for addresses in ours for address in addresses}))
        return [next((place for address in addresses if (place := places.get(address))), None) for addresses in ours]

    def _address(self, offset: int) -> int:
        for at, address, size in self._segments:
            if at <= offset < at + size:
                return address + offset - at
        return offset

    def _places(self, addresses: list[int]) -> dict[int, Place]:
        asked = "\n".join(map(hex, addresses))
        symbolizer = next((name for name in SYMBOLIZERS if shutil.which(name)), SYMBOLIZERS[0])
        told = _output(symbolizer, "--exe", str(self._path), "--addresses", "--inlines", given=asked)
        parts = re.split(r"^0x([0-9a-f]+)\n", told, flags=re.MULTILINE)[1:]
        found = {}
        for address, lines in zip(parts[::2], parts[1::2], strict=True):
            # Other crates have a folder of that name too.
            ours = [line for line in lines.splitlines() if "/registry/" not in line and not line.startswith("/rustc/")]
            place = next((place for line in ours if (place := _PLACE.search(line))), None)
            if place:
                found[int(address, 16)] = Place(place[1], int(place[2]))
        return found


def _output(*command: str, given: str | None = None) -> str:
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    return subprocess.run(command, input=given, check=True, **quiet).stdout
