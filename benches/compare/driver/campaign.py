"""Drives one proxy at a time, all of them in every round, and keeps what was measured."""

import subprocess
from dataclasses import dataclass

from driver.cases import GUARDS, IFMATCH, Carried, Case
from driver.failure import Failure
from driver.generators import Generators
from driver.machine import Cores
from driver.probe import prove
from driver.servers import Server, pinned
from driver.window import Window, measure

# The fixed rate of a case: half of ifmatch's own capacity, and no more than what the slowest proxy can hold.
OWN_SHARE, SLOWEST_SHARE = 0.5, 0.8


@dataclass(frozen=True)
class Plan:
    cases: tuple[Case, ...]
    rounds: int
    seconds: int


@dataclass(frozen=True)
class Capacity:
    """Requests a second of a case, and what else is measured once before the rounds."""

    proxies: dict[str, float]
    rate: int
    """The fixed rate that follows."""
    direct: Window
    """The origin alone, saturated."""
    direct_paced: Window
    """The origin alone, at the fixed rate: what the other figures for latency hold of origin and load."""


@dataclass(frozen=True)
class Campaign:
    plan: Plan
    generators: Generators
    cores: Cores
    origin: Server
    proxies: list[Server]

    def fill(self) -> None:
        """Gives the guards a version for each of the mix's resources, as after some time in service."""
        if Carried("mix") not in [case.requests for case in self.plan.cases]:
            return
        for server in self.proxies:
            if server.name in GUARDS:
                say(f"{server.name}: a write to each of {self.generators.resources:,} resources")
                command = pinned(self.cores.rest, self.generators.fill(server))
                filled = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                refused = [line for line in filled.stdout.splitlines() if line.split("\t")[1] != "200"]
                if refused:
                    raise Failure(f"{server.name} answered {len(refused)} first writes otherwise: {refused[0]}")

    def calibrate(self) -> dict[str, Capacity]:
        """By case."""
        return {case.name: self._calibrate(case) for case in self.plan.cases}

    def run(self, capacities: dict[str, Capacity]) -> list[Window]:
        windows: list[Window] = []
        for number in range(1, self.plan.rounds + 1):
            for case in self.plan.cases:
                for server in self._turns(case, number):
                    windows.append(self._drive(case, server, number, None))
                    windows.append(self._drive(case, server, number, capacities[case.name].rate))
                _tell(windows, number, case)
        return windows

    def _turns(self, case: Case, number: int) -> list[Server]:
        """Every round begins with another proxy, so that none always follows the same one."""
        servers = [server for server in self.proxies if server.name in case.proxies]
        first = number % len(servers)
        return servers[first:] + servers[:first]

    def _calibrate(self, case: Case) -> Capacity:
        proxies = {s.name: self._drive(case, s, 0, None).requests_per_second for s in self._turns(case, 0)}
        held = min(OWN_SHARE * proxies[IFMATCH], SLOWEST_SHARE * min(proxies.values()))
        rate = max(100, int(held) // 100 * 100)
        direct, paced = (self._drive(case, self.origin, 0, limit) for limit in (None, rate))
        say(f"{case.title}: the origin alone {direct.requests_per_second:,.0f} requests/s; the fixed rate is {rate:,}")
        return Capacity(proxies, rate, direct, paced)

    def _drive(self, case: Case, server: Server, number: int, rate: int | None) -> Window:
        prove(server)
        seconds = self.plan.seconds
        if rate is None:
            generator = self.generators.saturate(case, server, seconds)
        else:
            generator = self.generators.pace(case, server, seconds, rate)
        return measure(generator, server, self.cores, seconds, (number, case.name, rate))


def say(text: str) -> None:
    print(text, flush=True)


def _tell(windows: list[Window], number: int, case: Case) -> None:
    """A line on how it goes: requests a second, and microseconds on a core at the fixed rate."""
    those = [window for window in windows if (window.round, window.case) == (number, case.name)]
    free = {w.proxy: w.requests_per_second for w in those if w.rate is None}
    cpu = {w.proxy: w.cpu for w in those if w.rate is not None}
    each = (f"{proxy} {free[proxy]:,.0f}/s {cpu[proxy]:.1f} µs" for proxy in sorted(free))
    say(f"round {number}, {case.title}: {', '.join(each)}")
