"""What the two devices do: one makes a file, the other reads it. Neither holds it in memory."""

from __future__ import annotations

import hashlib
import random

from constellation_tools import Artifact, ToolContext, tool

PIECE_BYTES = 1024 * 1024


@tool(idempotent=True)
def make_file(context: ToolContext, size: int, seed: int) -> Artifact:
    """Make a file of random bytes."""
    chance = random.Random(seed)
    path = context.workdir / "made.bin"
    try:
        with path.open("wb") as file:
            for start in range(0, size, PIECE_BYTES):
                file.write(chance.randbytes(min(PIECE_BYTES, size - start)))
        return context.artifact(path)
    finally:
        path.unlink(missing_ok=True)


@tool(idempotent=True)
def read_file(file: Artifact) -> dict[str, object]:
    """Say how large a file is, and what its digest is."""
    with file.path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": file.path.stat().st_size, "sha256": digest}
