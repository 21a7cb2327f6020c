"""Builds what is compared."""

import subprocess
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

HERE = Path(__file__).parent.parent
ROOT = HERE.parent.parent
# Not the main package's: the two have different dependencies and would build over each other.
TARGET = ROOT / "target" / "compare"


class Build(Enum):
    """Which ifmatch is built, in the words of the report."""

    OPTIMISED = "as it is shipped: deploy/optimised/build, profile-guided and laid out by BOLT"
    RELEASE = "cargo build --release, without a profile"

    def make(self) -> Path:
        """The binary; nothing is done for one that is there and up to date."""
        if self is Build.OPTIMISED:
            subprocess.run([str(ROOT / "deploy/optimised/build")], check=True)
            return ROOT / "target/optimised/ifmatch"
        _cargo("--manifest-path", str(ROOT / "Cargo.toml"), "--bin", "ifmatch", "--target-dir", str(ROOT / "target"))
        return ROOT / "target/release/ifmatch"


@dataclass(frozen=True)
class Programs:
    ifmatch: Path
    origin: Path
    pipe: Path
    load: Path


def build_programs(ifmatch: Path) -> Programs:
    """Release builds of the comparison's programs, beside an ifmatch."""
    _cargo("--manifest-path", str(HERE / "Cargo.toml"), "--target-dir", str(TARGET))
    release = TARGET / "release"
    return Programs(ifmatch, origin=release / "origin", pipe=release / "pipe", load=release / "load")


def _cargo(*arguments: str) -> None:
    subprocess.run(["cargo", "build", "--release", "--locked", *arguments], check=True)
