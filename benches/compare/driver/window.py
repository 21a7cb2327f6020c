"""One window: a generator drives one server, and the middle of it is measured."""

import subprocess
import time
from dataclasses import dataclass

from driver.failure import Failure
from driver.generators import Answered, Generator
from driver.machine import Cores
from driver.servers import Server, pinned

# Of the generator's time: connections are opened before the first, and what is between the two counts.
BEGIN, END = 0.2, 0.95


@dataclass(frozen=True)
class Window:
    """One server, one case, some seconds."""

    round: int
    case: str
    proxy: str
    rate: int | None
    """Requests a second that were sent, if not as many as possible."""
    requests_per_second: float
    refused: float
    """The share of 4xx and 5xx answers."""
    p50: float
    """Microseconds, as the next two."""
    p99: float
    p999: float
    cpu: float
    """The server's microseconds on a core for a request."""
    busy: float
    """The share of a core that the server took."""
    peak: int
    """The most bytes that were resident."""


@dataclass(frozen=True)
class _Sample:
    """When the counting part of a window was, and what the server used meanwhile."""

    begun: float
    ended: float
    cpu_seconds: float
    peak: int


def measure(
    generator: Generator, server: Server, cores: Cores, seconds: int, labels: tuple[int, str, int | None]
) -> Window:
    sample = _run(generator, server, cores, seconds)
    answered: Answered = generator.answered(sample.begun, sample.ended)
    elapsed = sample.ended - sample.begun
    number, case, rate = labels
    return Window(
        round=number,
        case=case,
        proxy=server.name,
        rate=rate,
        requests_per_second=answered.requests / elapsed,
        refused=answered.refused / answered.requests,
        p50=answered.p50,
        p99=answered.p99,
        p999=answered.p999,
        cpu=sample.cpu_seconds * 1e6 / answered.requests,
        busy=sample.cpu_seconds / elapsed,
        peak=sample.peak,
    )


def _run(generator: Generator, server: Server, cores: Cores, seconds: int) -> _Sample:
    server.forget_log()
    server.tree.forget_peak()
    with generator.output.open("wb") as output:
        process = subprocess.Popen(pinned(cores.rest, generator.command), stdout=output, stderr=subprocess.STDOUT)
    try:
        time.sleep(seconds * BEGIN)
        begun, cpu = time.time(), server.tree.cpu_seconds()
        time.sleep(seconds * (END - BEGIN))
        ended, cpu_later = time.time(), server.tree.cpu_seconds()
        peak = server.tree.peak_bytes()
        status = process.wait(timeout=10 * seconds + 30)
    finally:
        process.kill()
    if status != 0:
        raise Failure(f"{generator.command} ended with {status}:\n{generator.output.read_text()[-2000:]}")
    return _Sample(begun, ended, cpu_later - cpu, peak)
