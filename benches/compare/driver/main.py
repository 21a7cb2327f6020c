"""From the command line to the report."""

import argparse
import datetime
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from driver import plot, report
from driver.build import HERE, TARGET, Build, Programs, build_programs
from driver.campaign import Campaign, Plan, say
from driver.cases import CASES, IFMATCH, PROXIES, UNGUARDED, Case
from driver.command_line import positive, program, require_programs
from driver.failure import Failure
from driver.generators import Generators
from driver.idle import allow_files, bytes_per_idle_client
from driver.machine import Cores, choose_cores, describe
from driver.results import Results
from driver.servers import Launcher

# Each client of 4,000 idle ones is a file here and one there; and haproxy wants two for each that it would accept.
OPEN_FILES = 18_000

PROGRAMS = ("cargo", "haproxy", "h2load", "nginx", "setpriv", "taskset", "wrk")


@dataclass(frozen=True)
class Options:
    plan: Plan
    ifmatch: Build | Path
    """Which one to build, or one that is there."""
    output: Path
    resources: int
    idle_clients: int


def main() -> None:
    options = _options()
    require_programs(*PROGRAMS)
    # The servers are ended on the way out of Python's `with` blocks, whatever ends the driver.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda given, _: sys.exit(128 + given))
    try:
        _run(options)
    except (Failure, subprocess.CalledProcessError) as failure:
        sys.exit(f"{failure}")


def _run(options: Options) -> None:
    allow_files(OPEN_FILES)
    ifmatch = options.ifmatch.make() if isinstance(options.ifmatch, Build) else options.ifmatch
    programs = build_programs(ifmatch)
    cores = choose_cores()
    if not cores.apart:
        say(_cores(cores))
    os.sched_setaffinity(0, {cores.rest})
    with tempfile.TemporaryDirectory(prefix="ifmatch-compare-") as folder:
        results = _compare(options, programs, cores, Path(folder))
    options.output.mkdir(parents=True, exist_ok=True)
    results.write_json(options.output / "raw.json")
    report.write(results, options.output / "README.md")
    plot.write(results, options.output / "ratios.png")
    say(f"written to {options.output}")


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="benches/compare/run", description="ifmatch beside other proxies")
    parser.add_argument("--rounds", type=positive, default=7, help="how often each proxy is driven with each case (7)")
    parser.add_argument("--seconds", type=positive, default=2, help="how long each time (2)")
    parser.add_argument("--cases", help=f"some of {','.join(case.name for case in CASES)}")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--build",
        choices=[build.name.lower() for build in Build],
        default=Build.OPTIMISED.name.lower(),
        help="which ifmatch of this tree: as deploy/optimised/build makes it (default), or a plain release build",
    )
    which.add_argument("--binary", type=program, help="an ifmatch that is there, in place of one of this tree")
    parser.add_argument("--output", type=Path, help="where the report goes (results/ beside this program)")
    parser.add_argument(
        "--quick", action="store_true", help="one round of one second: shows that it works; its figures mean nothing"
    )
    given = parser.parse_args()
    cases = CASES if given.cases is None else _cases(parser, given.cases.split(","))
    ifmatch = given.binary or Build[given.build.upper()]
    if given.quick:
        return Options(Plan(cases, 1, 1), ifmatch, given.output or TARGET / "quick", resources=10_000, idle_clients=100)
    plan = Plan(cases, given.rounds, given.seconds)
    return Options(plan, ifmatch, given.output or HERE / "results", resources=1_000_000, idle_clients=4_000)


def _cases(parser: argparse.ArgumentParser, names: list[str]) -> tuple[Case, ...]:
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    return tuple(case for case in CASES if case.name in names)


def _compare(options: Options, programs: Programs, cores: Cores, folder: Path) -> Results:
    build = options.ifmatch.value if isinstance(options.ifmatch, Build) else "a build that was there before"
    about = describe(programs.ifmatch, build) | {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": _cores(cores),
        "command": " ".join(["benches/compare/run", *(Path(word).name for word in sys.argv[1:])]),
    }
    with Launcher(programs, cores, folder) as launcher:
        origin = launcher.origin()
        idle = _idle(options, programs, cores, folder)
        proxies = [launcher.proxy(name, origin) for name in PROXIES]
        guarded = proxies[PROXIES.index(IFMATCH)]
        proxies.append(replace(guarded, name=UNGUARDED, below="/1k/off/"))
        generators = Generators(programs.load, options.resources, folder)
        campaign = Campaign(options.plan, generators, cores, origin, proxies)
        campaign.fill()
        capacities = campaign.calibrate()
        windows = campaign.run(capacities)
    return Results(about, options.plan, capacities, windows, idle)


def _cores(cores: Cores) -> str:
    if cores.apart:
        return f"the proxy on {cores.proxy}, origin and load on {cores.rest}"
    return "one only, which proxy, origin and load share: no figure is the proxy's own"


def _idle(options: Options, programs: Programs, cores: Cores, folder: Path) -> dict[str, float]:
    idle = {}
    for name in PROXIES:
        with Launcher(programs, cores, folder) as launcher:
            proxy = launcher.proxy(name, launcher.origin())
            idle[name] = bytes_per_idle_client(proxy, options.idle_clients)
            say(f"{name}: {idle[name] / 1024:.1f} KiB an idle client")
    return idle
