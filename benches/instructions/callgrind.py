"""A process under callgrind, counted in stretches."""

import re
import subprocess
import time
from pathlib import Path


class Profiled:
    """The proxy under callgrind: its port, and the instructions since the last `zero`."""

    def __init__(self, binary: Path, config: Path, profiles: Path) -> None:
        self.profiles = profiles.resolve()
        self.profiles.mkdir(parents=True, exist_ok=True)
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self.profiles}/%p.out", str(binary), "run", "--config", str(config)]
        # A file, for nobody reads on: the log of refusals would fill a pipe.
        self.log = Path(self.profiles, "log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.port = self._port()

    def __enter__(self) -> "Profiled":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def zero(self) -> None:
        """Begins a new stretch."""
        self._control("--zero")

    def instructions(self, name: str) -> int:
        """How many were executed in the stretch, whose profile is kept as `name`.out."""
        before = set(self.profiles.glob(f"{self.process.pid}.out.*"))
        self._control("--dump")
        (dump,) = set(self.profiles.glob(f"{self.process.pid}.out.*")) - before
        kept = dump.rename(self.profiles / f"{name}.out")
        totals = re.search(r"^(?:totals|summary): (\d+)", kept.read_text(), re.MULTILINE)
        if totals is None:
            raise ValueError(f"{kept} has no total: is this callgrind's format?")
        return int(totals.group(1))

    def _control(self, what: str) -> None:
        subprocess.run(["callgrind_control", what, str(self.process.pid)], check=True, capture_output=True)

    def _port(self) -> int:
        """The port that the proxy tells in its log; it needs a while under callgrind."""
        while self.process.poll() is None:
            if found := re.search(r"listening.*?127\.0\.0\.1:(\d+)", self.log.read_text()):
                return int(found.group(1))
            time.sleep(0.05)
        raise RuntimeError(f"the proxy did not start:\n{self.log.read_text()}")
