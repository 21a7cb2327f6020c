"""Starts the origin and the proxies, each on a free port and pinned to a core, and ends them."""

import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from driver import configurations
from driver.build import Programs
from driver.failure import Failure
from driver.machine import Cores
from driver.process import ProcessTree

START_DEADLINE = 30.0


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    tree: ProcessTree
    log: Path
    below: str = "/1k/"
    """Where its small resources are."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def forget_log(self) -> None:
        """What was logged until now: ifmatch writes a line for every refusal."""
        self.log.write_bytes(b"")


class Launcher:
    """Everything that it started ends with its `with` block, and with the driver itself."""

    def __init__(self, programs: Programs, cores: Cores, folder: Path) -> None:
        self._programs = programs
        self._cores = cores
        self._folder = folder
        self._started = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def origin(self) -> Server:
        log = self._folder / "origin.log"
        process = self._spawn([str(self._programs.origin)], self._cores.rest, log, subprocess.PIPE)
        if process.stdout is None:
            raise Failure("the origin has no output to tell its port on")
        port = int(process.stdout.readline().rpartition(b":")[2])
        return Server("direct", port, ProcessTree(process.pid), log)

    def proxy(self, name: str, origin: Server) -> Server:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        port = _free_port()
        command = self._command(name, folder, f"127.0.0.1:{port}", origin.address)
        log = folder / "log"
        process = self._spawn(command, self._cores.proxy, log, None)
        _wait_until_open(port, process, log)
        return Server(name, port, ProcessTree(process.pid), log)

    def _command(self, name: str, folder: Path, listen: str, origin: str) -> list[str]:
        file = folder / "configuration"
        match name:
            case "pipe":
                return [str(self._programs.pipe), listen, origin]
            case "nginx":
                file.write_text(configurations.nginx(folder, listen, origin))
                return ["nginx", "-p", str(folder), "-c", str(file)]
            case "nginx-lua":
                file.write_text(configurations.nginx_with_guard(folder, listen, origin))
                return ["nginx", "-p", str(folder), "-c", str(file)]
            case "haproxy":
                file.write_text(configurations.haproxy(listen, origin))
                return ["haproxy", "-db", "-f", str(file)]
            case "ifmatch":
                file.write_text(configurations.ifmatch(listen, f"127.0.0.1:{_free_port()}", origin))
                return [str(self._programs.ifmatch), "run", "--config", str(file)]
        raise ValueError(f"no proxy is called {name}")

    def _spawn(self, command: list[str], core: int, log: Path, stdout: int | None) -> subprocess.Popen[bytes]:
        with log.open("ab") as errors:
            out = stdout or errors
            process = subprocess.Popen(pinned(core, command), stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        self._started.callback(_end, process)
        return process


def pinned(core: int, command: list[str]) -> list[str]:
    """On that core, and not for longer than the driver lives."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "--cpu-list", str(core), *command]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise Failure(f"{process.args!r} does not accept connections:\n{log.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
