"""Which files are audited, and how they are dealt out to the scans."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from constellation_tools import Confined

LEFT_OUT = frozenset({"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"})
"""Directories that are passed by: what was installed beside the library, and its tests, which are broken on purpose."""

MAX_FILES = 20_000
"""How many files one audit takes on."""


class TooManyFiles(Exception):
    """Raised when a directory holds more files than one audit takes on."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A source file: its path below the library's directory, with `/`, and its size in bytes."""

    path: str
    size: int


def list_sources(root: Path) -> list[SourceFile]:
    """All Python source files below a directory, by path; links that lead out of it are passed by.

    Raises:
        OSError: the directory can't be read.
        TooManyFiles: it holds more than `MAX_FILES`.
    """
    top = root.resolve(strict=True)
    found = []
    for folder, folders, names in os.walk(top, onerror=_raise):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in names:
            path = Path(folder, name)
            if name.endswith(".py") and path.resolve().is_relative_to(top) and path.is_file():
                found.append(SourceFile(path.relative_to(top).as_posix(), path.stat().st_size))
        if len(found) > MAX_FILES:
            raise TooManyFiles(f"{root} holds more than {MAX_FILES:,} source files; give a smaller directory")
    return sorted(found, key=lambda source: source.path)


def _raise(error: OSError) -> None:
    raise error


def deal(sources: Sequence[SourceFile], *, seed: int, parts: int) -> list[list[SourceFile]]:
    """Deal files out to parts of about the same number of bytes; the seed says which come together.

    Returns:
        At most `parts` parts, none of them empty, each in the order of its paths.
    """
    shuffled = list(sources)
    random.Random(seed).shuffle(shuffled)
    dealt: list[list[SourceFile]] = [[] for _ in range(min(parts, len(shuffled)))]
    loads = [0] * len(dealt)
    for number, source in enumerate(shuffled):
        # The first round gives each part a file, so that none is empty even where files are.
        lightest = number if number < len(dealt) else loads.index(min(loads))
        dealt[lightest].append(source)
        loads[lightest] += source.size
    return [sorted(part, key=lambda source: source.path) for part in dealt]


def inside(root: Path, file: str) -> Path:
    """The path of a file below a directory.

    Raises:
        Confined: it is not below the directory.
    """
    top = root.resolve()
    path = (top / file).resolve()
    if not path.is_relative_to(top):
        raise Confined(f"{file!r} is not below {top}; name files by their path below it")
    return path
