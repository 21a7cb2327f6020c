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


def require_programs(*names: str | tuple[str, ...]) -> None:
    """A tuple names one program, which goes by different names."""
    missing = [name if isinstance(name, str) else name[0] for name in names if not any(map(shutil.which, _names(name)))]
    if missing:
        sys.exit(f"{', '.join(missing)} not found; {HERE / 'README.md'} says what is needed")


def _names(name: str | tuple[str, ...]) -> tuple[str, ...]:
    return (name,) if isinstance(name, str) else name
