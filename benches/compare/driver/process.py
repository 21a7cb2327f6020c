"""What /proc tells of a server: all of its processes and threads together."""

from dataclasses import dataclass
from pathlib import Path

from driver.failure import Failure


@dataclass(frozen=True)
class ProcessTree:
    """A process and its children, such as nginx and its worker."""

    pid: int

    def cpu_seconds(self) -> float:
        """Time on a core since the start, of every thread that still is."""
        files = (file for pid in self._pids() for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return sum(int(file.read_text().split()[0]) for file in files) / 1e9

    def forget_peak(self) -> None:
        """From here on the peak is what is reached from here on."""
        for pid in self._pids():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        return self._sum("VmHWM")

    def resident_bytes(self) -> int:
        return self._sum("VmRSS")

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]

    def _sum(self, key: str) -> int:
        return sum(_kibibytes(pid, key) for pid in self._pids()) * 1024


def _kibibytes(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0])
    raise Failure(f"process {pid} has no {key}: it ended")
