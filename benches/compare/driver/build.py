"""Builds what is compared."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent.parent
ROOT = HERE.parent.parent
# Not the main package's: the two have different dependencies and would build over each other.
TARGET = ROOT / "target" / "compare"


@dataclass(frozen=True)
class Programs:
    ifmatch: Path
    origin: Path
    pipe: Path
    load: Path


def build(binary: Path | None) -> Programs:
    """Release builds of the comparison's programs, and of ifmatch unless a binary of it is given."""
    _cargo("--manifest-path", str(HERE / "Cargo.toml"), "--target-dir", str(TARGET))
    if binary is None:
        _cargo("--manifest-path", str(ROOT / "Cargo.toml"), "--bin", "ifmatch", "--target-dir", str(ROOT / "target"))
    release = TARGET / "release"
    return Programs(
        ifmatch=binary or ROOT / "target" / "release" / "ifmatch",
        origin=release / "origin",
        pipe=release / "pipe",
        load=release / "load",
    )


def _cargo(*arguments: str) -> None:
    subprocess.run(["cargo", "build", "--release", "--locked", *arguments], check=True)
