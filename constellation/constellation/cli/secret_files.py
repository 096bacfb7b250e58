"""Files that hold one token each."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import BadInput


def write_secret(path: Path, token: str) -> None:
    """Write a token into a new file that only its owner can read; raises BadInput when that can't be."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
    except OSError as error:
        raise BadInput(f"the token can't be written to {path}: {error.strerror}") from error
