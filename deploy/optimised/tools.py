"""The tools of LLVM that belong to the compiler, and the compiler's own words about itself."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


class Missing(Exception):
    """Something that has to be installed first."""


@dataclass(frozen=True)
class Compiler:
    """The rustc that Cargo uses here."""

    version: str
    """Its first line."""
    host: str
    llvm: str
    """Major version: profiles are read by the same one that made them."""
    sysroot: Path

    @staticmethod
    def found() -> "Compiler":
        told = _output("rustc", "--version", "--verbose")
        fields = dict(line.split(": ", 1) for line in told.splitlines() if ": " in line)
        llvm = re.match(r"\d+", fields["LLVM version"])
        if llvm is None:
            raise Missing(f"rustc names no version of LLVM:\n{told}")
        sysroot = Path(_output("rustc", "--print", "sysroot").strip())
        return Compiler(told.splitlines()[0], fields["host"], llvm.group(), sysroot)


@dataclass(frozen=True)
class Tools:
    """Where they are, by name."""

    paths: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.paths[name]

    @staticmethod
    def found(compiler: Compiler, names: list[str]) -> "Tools":
        """Fails with all that is missing, and how to get it."""
        paths = {name: _find(compiler, name) for name in names}
        missing = [name for name, path in paths.items() if path is None]
        if missing:
            packages = " ".join(_package(compiler, name) for name in missing)
            raise Missing(
                f"{' and '.join(missing)} of LLVM {compiler.llvm}, which {compiler.version} is made with, not found.\n"
                f"Debian: apt-get install --no-install-recommends {packages}\n"
                "llvm-profdata also comes with `rustup component add llvm-tools`; --no-bolt does without llvm-bolt."
            )
        return Tools({name: str(path) for name, path in paths.items()})


def _find(compiler: Compiler, name: str) -> str | None:
    """The one of the compiler's version: under a name that says so, in Debian's folder, in rustup's, or plainly named."""
    places = [
        f"{name}-{compiler.llvm}",
        f"/usr/lib/llvm-{compiler.llvm}/bin/{name}",
        str(compiler.sysroot / "lib/rustlib" / compiler.host / "bin" / name),
        name,
    ]
    return next((path for place in places if (path := shutil.which(place)) and _version(path) == compiler.llvm), None)


def _version(path: str) -> str | None:
    """None for those of old, which do not tell."""
    told = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    found = re.search(r"LLVM version (\d+)", told.stdout)
    return found.group(1) if found else None


def _package(compiler: Compiler, name: str) -> str:
    return f"{'bolt' if name == 'llvm-bolt' else 'llvm'}-{compiler.llvm}"


def _output(*command: str) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
