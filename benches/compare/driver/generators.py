"""The commands that make the load, and what they report."""

import json
from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from driver.build import HERE
from driver.cases import STALE_TAG, Carried, Case, Constant, Tag
from driver.failure import Failure
from driver.probe import CONTENT, current_tag
from driver.servers import Server

# The shortest period of h2load's clock for a connection: one of a higher rate sends several requests a tick.
H2LOAD_TICK_MS = 10


@dataclass(frozen=True)
class Answered:
    """What was answered between two moments."""

    requests: float
    refused: float
    p50: float
    """Microseconds, as the next two."""
    p99: float
    p999: float


@dataclass(frozen=True)
class Generator:
    """A program that drives one server with one case."""

    command: list[str]
    output: Path
    """What it prints goes here."""
    log: Path
    """What it reports: its output, or the file that its command names."""
    expected: frozenset[int]
    """The statuses that may be answered."""
    is_wrk: bool = False
    total: int | None = None
    """How many requests it sends, where that is known before."""

    def answered(self, begun: float, ended: float) -> Answered:
        """Times are seconds since the epoch. Fails where anything else than the expected statuses was answered, ever."""
        return self._from_wrk(ended - begun) if self.is_wrk else self._from_log(begun * 1e6, ended * 1e6)

    def _from_wrk(self, seconds: float) -> Answered:
        said = json.loads(self.log.read_text().splitlines()[-1])
        # wrk tells 4xx and 5xx from the rest, no more; h2load's log has the very statuses of the same requests.
        wanted = said["requests"] if min(self.expected) >= 400 else 0
        if said["failed"] or said["refused"] != wanted or not said["requests"]:
            raise Failure(f"{self.command}: {said}")
        share = seconds * 1e6 / said["microseconds"]
        return Answered(said["requests"] * share, said["refused"] * share, said["p50"], said["p99"], said["p99.9"])

    def _from_log(self, begun: float, ended: float) -> Answered:
        statuses: Counter[int] = Counter()
        times = []
        refused = 0
        for line in self.log.read_text().splitlines():
            sent, status, took = map(int, line.split("\t")[:3])
            statuses[status] += 1
            if begun <= sent + took < ended:
                times.append(took)
                refused += status >= 400
        total = statuses.total()
        if not times or not self.expected.issuperset(statuses) or total != (self.total or total):
            found = (
                f"{len(times)} answers in time, statuses {dict(statuses)}, not {self.total or ''} {set(self.expected)}"
            )
            raise Failure(f"{self.command}: {found}")
        times.sort()
        return Answered(len(times), refused, *(times[ceil(share * len(times)) - 1] for share in (0.5, 0.99, 0.999)))


@dataclass(frozen=True)
class Generators:
    load: Path
    """Our own, for what the other two cannot do."""
    resources: int
    folder: Path

    def saturate(self, case: Case, server: Server, seconds: int) -> Generator:
        """As fast as answers come."""
        if isinstance(case.requests, Carried):
            return self._carry(case, case.requests, server, seconds)
        request = case.requests
        command = ["wrk", "--threads", "1", "--connections", str(case.connections), "--duration", f"{seconds}s"]
        command += ["--script", str(HERE / "wrk.lua"), *_fields(request, server), _url(request, server)]
        command += ["--", request.method, *([str(len(CONTENT))] if request.method == "PUT" else [])]
        output = self.folder / "wrk.out"
        return Generator(command, output, output, case.statuses(server.name), is_wrk=True)

    def pace(self, case: Case, server: Server, seconds: int, rate: int) -> Generator:
        """At so many requests a second, spread evenly over the connections and over time."""
        if isinstance(case.requests, Carried):
            return self._carry(case, case.requests, server, seconds, "--rate", str(rate))
        request = case.requests
        log = self.folder / "h2load.log"
        # h2load would append to what is there.
        log.unlink(missing_ok=True)
        each = rate / case.connections
        # Connections are opened over one period, or all of them would send in the same millisecond ever after.
        opened = ceil(case.connections / max(H2LOAD_TICK_MS, 1000 / each))
        total = rate * seconds
        command = ["h2load", "--h1", "--clients", str(case.connections), "--requests", str(total)]
        command += ["--rps", str(each), "--rate", str(opened), "--rate-period", "1ms", "--log-file", str(log)]
        if request.method == "PUT":
            body = self.folder / "body"
            body.write_bytes(CONTENT)
            command += ["--data", str(body), "-H", ":method: PUT"]
        command += [*_fields(request, server), _url(request, server)]
        return Generator(command, self.folder / "h2load.out", log, case.statuses(server.name), total=total)

    def fill(self, server: Server) -> list[str]:
        """Writes to every resource of the mix once."""
        return [str(self.load), server.address, "fill", "--connections", "64", "--resources", str(self.resources)]

    def _carry(self, case: Case, carried: Carried, server: Server, seconds: int, *paced: str) -> Generator:
        command = [str(self.load), server.address, carried.workload, "--connections", str(case.connections)]
        command += ["--seconds", str(seconds), *paced, "--resources", str(self.resources), "--below", server.below]
        output = self.folder / "load.log"
        return Generator(command, output, output, case.statuses(server.name))


def _url(request: Constant, server: Server) -> str:
    return f"http://{server.address}{request.path.replace('/1k/', server.below)}"


def _fields(request: Constant, server: Server) -> list[str]:
    match request.tag:
        case Tag.NONE:
            return []
        case Tag.STALE_IF_MATCH:
            return ["-H", f"If-Match: {STALE_TAG}"]
        case Tag.CURRENT_IF_NONE_MATCH:
            return ["-H", f"If-None-Match: {current_tag(server, request.path) or STALE_TAG}"]
