"""Runs an instrumented ifmatch between a client and an origin, so that it writes down what it did."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from traffic import train
from visitor import DEADLINE, Unexpected

HERE = Path(__file__).parent


def run(binary: Path, folder: Path, **environment: str) -> None:
    """Trains the binary, and waits until it has ended: an instrumented one writes its profile last of all.

    Its configuration and its log stand in the folder.
    """
    with Origin() as origin:
        config = folder / "training.toml"
        config.write_text((HERE / "training.toml").read_text().replace("127.0.0.1:1\"", f"127.0.0.1:{origin.port}\""))
        with Proxy(binary, config, folder / "training.log", environment) as proxy:
            began = time.monotonic()
            requests = train(*proxy.ports())
            print(f"{requests} requests in {time.monotonic() - began:.0f} s", flush=True)
            proxy.end()


class Origin:
    """The API of origin.py, in a process of its own."""

    def __enter__(self) -> "Origin":
        self._process = subprocess.Popen([sys.executable, str(HERE / "origin.py")], stdout=subprocess.PIPE)
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class Proxy:
    """The binary at work."""

    def __init__(self, binary: Path, config: Path, log: Path, environment: dict[str, str]) -> None:
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [str(binary), "run", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                env=os.environ | environment,
            )

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ports(self) -> tuple[int, int]:
        """Of the public and of the admin listener, as the log tells them."""
        deadline = time.monotonic() + DEADLINE
        while self._process.poll() is None and time.monotonic() < deadline:
            for line in self._log.read_text().splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n") and "listening" in line:
                    told = json.loads(line)
                    return _port(told["public"]), _port(told["admin"])
            time.sleep(0.05)
        raise Unexpected(f"it does not listen:\n{self._log.read_text()}")

    def end(self) -> None:
        """As in service: what it holds is finished, then it goes."""
        self._process.terminate()
        status = self._process.wait(timeout=DEADLINE)
        if status != 0:
            raise Unexpected(f"it ended with {status}:\n{self._log.read_text()[-2000:]}")


def _port(address: str) -> int:
    return int(address.partition(",")[0].rpartition(":")[2])
