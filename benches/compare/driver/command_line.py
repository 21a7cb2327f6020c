"""What the programs here ask of whoever calls them."""

import argparse
import shutil
import sys
from pathlib import Path

from driver.build import HERE


def positive(text: str) -> int:
    """A number that is none makes argparse say so."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def program(text: str) -> Path:
    """A file, by its whole path."""
    path = Path(text).resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text} is no file")
    return path


def require_programs(*names: str) -> None:
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        sys.exit(f"{', '.join(missing)} not found; {HERE / 'README.md'} says what is needed")
