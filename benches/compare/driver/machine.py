"""The machine and the programs, for the head of the report; and which cores are used."""

import os
import platform
import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cores:
    """Where the proxy runs, and where everything else does."""

    proxy: int
    rest: int

    @property
    def apart(self) -> bool:
        return self.proxy != self.rest


def choose_cores() -> Cores:
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])


def describe(ifmatch: Path, build: str) -> dict[str, str]:
    """What was compared on what: words for a table."""
    return {"machine": _processor(), "system": _system(), "tree": _commit()} | _versions(ifmatch, build)


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    guest = ", a virtual machine" if re.search(r"^flags.*\bhypervisor\b", text, re.MULTILINE) else ""
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    gib = round(int(memory.group(1)) / 2**20) if memory else 0
    return f"{model.group(1) if model else platform.machine()}, {os.cpu_count()} cores, {gib} GiB{guest}"


def _system() -> str:
    return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}"


def _commit() -> str:
    return _first_line("git", "-C", str(HERE), "describe", "--always", "--dirty")


def _versions(ifmatch: Path, build: str) -> dict[str, str]:
    return {
        "ifmatch": f"{_first_line(str(ifmatch), '--version')}, {build}",
        "nginx": _first_line("nginx", "-v").removeprefix("nginx version: "),
        "nginx's Lua module": _first_line("dpkg-query", "--show", "--showformat=${Version}", "libnginx-mod-http-lua"),
        "haproxy": _first_line("haproxy", "-v").partition(" - ")[0],
        "pipe": f"pingora {_locked('pingora')}, fat LTO, mimalloc",
        "wrk": _first_line("wrk", "-v").partition(" Copyright")[0],
        "h2load": _first_line("h2load", "--version"),
        "rustc": _first_line("rustc", "--version"),
    }


def _locked(package: str) -> str:
    lock = tomllib.loads((HERE / "Cargo.lock").read_text())
    return next(str(locked["version"]) for locked in lock["package"] if locked["name"] == package)


def _first_line(*command: str) -> str:
    # Several of these say their version on standard error, or with a status that is not 0.
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return run.stdout.partition("\n")[0].strip()
