"""The log of effects that each device keeps: a line for every effect, on disk before the work goes on.

It stands for what work does in the world. Nothing of ours reads it while the stars run, so that it tells afterwards
what really happened, whatever the journal says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

LOG_FILE = "effects.jsonl"


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect.

    Attributes:
        star: The star that it was made for.
        attempt: Which try of the star it was.
        device: Where it happened.
        inputs: The attempts that made what the star was given by other stars.
    """

    star: str
    attempt: str
    device: str
    inputs: tuple[str, ...] = ()


def append_effect(folder: Path, effect: Effect) -> None:
    """Add a line to the log in a device's folder; it is on disk on return."""
    line = json.dumps(asdict(effect), separators=(",", ":")) + "\n"
    log = os.open(folder / LOG_FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(log, line.encode())  # in one piece: several processes of a device write here
        os.fsync(log)
    finally:
        os.close(log)


def read_effects(folders: Sequence[Path]) -> Iterator[Effect]:
    """What the logs of these devices have, device by device, in the order in which it was written."""
    for folder in folders:
        log = folder / LOG_FILE
        if log.exists():
            for line in log.read_text(encoding="utf-8").splitlines():
                fields = json.loads(line)
                yield Effect(**{**fields, "inputs": tuple(fields["inputs"])})
