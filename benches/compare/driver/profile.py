"""Samples ifmatch at a fixed rate and tells, for each part of it, which share of the time is that part's work.

The differences between windows of two seconds vary by more than the guard takes; what a sample was taken in does not."""

import argparse
import datetime
import os
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from driver.build import Build, build_programs
from driver.cases import CASES, IFMATCH, UNGUARDED, Case
from driver.command_line import positive, program, require_programs
from driver.failure import Failure
from driver.generators import Generators
from driver.machine import Cores, choose_cores, describe
from driver.parts import GUARD, PARTS, Sources
from driver.servers import Launcher, Server, pinned
from driver.stacks import SYMBOLIZERS, Binary, stacks
from driver.window import measure

PROGRAMS = (SYMBOLIZERS, "cargo", "h2load", "perf", "readelf", "setpriv", "taskset", "wrk")

SAMPLES_A_SECOND = 1999
# Of a window: connections are opened before it.
SETTLED = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="benches/compare/profile", description=__doc__)
    parser.add_argument("--rate", type=positive, help="requests a second (half of what it answers of the dearest case)")
    parser.add_argument("--seconds", type=positive, default=20, help="how long each is sampled (20)")
    parser.add_argument("--binary", type=program, help="an ifmatch that is there, in place of this tree's optimised one")
    parser.add_argument("--output", type=Path, help="a file for the report, which is printed too")
    given = parser.parse_args()
    require_programs(*PROGRAMS)
    try:
        ifmatch = given.binary or Build.OPTIMISED.make()
        text = _report(ifmatch, given.rate, given.seconds)
    except (Failure, subprocess.CalledProcessError) as failure:
        raise SystemExit(str(failure)) from failure
    print(text)
    if given.output:
        given.output.write_text(text)


def _report(ifmatch: Path, rate: int | None, seconds: int) -> str:
    programs = build_programs(ifmatch)
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.rest})
    cases = [case for case in CASES if UNGUARDED in case.proxies]
    about = describe(ifmatch, "the binary that was sampled")
    with ExitStack() as until_the_end:
        folder = Path(until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="ifmatch-profile-")))
        launcher = until_the_end.enter_context(Launcher(programs, cores, folder))
        guarded = launcher.proxy(IFMATCH, launcher.origin())
        servers = [guarded, replace(guarded, name=UNGUARDED, below="/1k/off/")]
        generators = Generators(programs.load, 1000, folder)
        sources, binary = Sources(), Binary(ifmatch)
        rate = rate or _half(generators, cases, guarded, cores)
        lines = ["# Whose work ifmatch's time is", "", "Written by `benches/compare/profile`.", ""]
        lines += [f"Percent of its time on a core, the kernel's included, at {rate:,} requests/s.", ""]
        lines += [f"- {name}: {about[name]}" for name in ("machine", "system", "tree", "ifmatch")]
        lines += [f"- date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d}"]
        for case in cases:
            shares = []
            for server in servers:
                command = pinned(cores.rest, generators.pace(case, server, seconds + 2, rate).command)
                shares.append(_shares(_sampled(command, server, seconds, folder), binary, sources))
            lines += _table(case, shares)
    return "\n".join([*lines, ""])


def _half(generators: Generators, cases: list[Case], server: Server, cores: Cores) -> int:
    """Requests a second: half of its capacity in the case in which that is the least."""
    windows = (measure(generators.saturate(case, server, 2), server, cores, 2, (0, case.name, None)) for case in cases)
    return max(100, int(min(window.requests_per_second for window in windows) / 2) // 100 * 100)


def _sampled(command: list[str], server: Server, seconds: int, folder: Path) -> Path:
    data = folder / "perf.data"
    with (folder / "load.out").open("wb") as output:
        load = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        time.sleep(SETTLED)
        record = ["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", str(SAMPLES_A_SECOND)]
        record += ["--call-graph", "dwarf,16384", "--pid", str(server.tree.pid), "--output", str(data)]
        subprocess.run([*record, "sleep", str(seconds)], check=True)
    finally:
        if load.wait() != 0:
            raise Failure(f"{command} ended with {load.returncode}")
    return data


def _shares(data: Path, binary: Binary, sources: Sources) -> dict[str, float]:
    """By part, in percent. A sample belongs to the innermost function of ours that it was taken in."""
    counted: Counter[str] = Counter(sources.part_of(place) for place in binary.innermost(stacks(data)))
    total = counted.total()
    if total < 100:
        raise Failure(f"{total} samples only: is perf allowed to look at other processes?")
    return {part: 100 * count / total for part, count in counted.items()}


def _table(case: Case, shares: list[dict[str, float]]) -> list[str]:
    guarded, unguarded = shares
    rows = [f"| {part} | {guarded.get(part, 0):.2f} | {unguarded.get(part, 0):.2f} |" for part in PARTS]
    own = [sum(share.get(part, 0) for part in GUARD) for share in shares]
    head = ["", f"| {case.title} | guarded | mode off |", "|---|---|---|"]
    sums = [f"| the guard's six parts | {own[0]:.2f} | {own[1]:.2f} |"]
    sums += [f"| **the guard's own**: less what mode off has of them | **{own[0] - own[1]:.2f}** | |"]
    return [*head, *rows, *sums]
