"""Files that served tools make: kept for a while, so that they can be read as resources and given to other tools."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from ...artifact import Artifact, copied_into
from ...errors import ArtifactUnavailable
from .limits import ServingLimits

SCHEME = "artifact:///"
"""How the URIs of kept files begin; the digest follows."""


class ServedFiles:
    """Keeps the newest files of a server in a directory of its own; usable from any thread, and a context manager."""

    def __init__(self, limits: ServingLimits) -> None:
        self._limits = limits
        self._directory = tempfile.TemporaryDirectory(prefix="constellation-mcp-")
        self._root = Path(self._directory.name)
        self._kept: OrderedDict[str, Artifact] = OrderedDict()
        self._lock = threading.Lock()

    def __enter__(self) -> ServedFiles:
        return self

    def __exit__(self, *error: object) -> None:
        self._directory.cleanup()

    @property
    def kept(self) -> list[Artifact]:
        """The files, the oldest first."""
        with self._lock:
            return list(self._kept.values())

    def keep(self, source: Path | bytes, name: str, media_type: str) -> Artifact:
        """Keep a file or bytes; the oldest ones go where there would be too many."""
        incoming = copied_into(self._root, source)
        described = Artifact.of_file(incoming, name=name, media_type=media_type)
        path = self._root / described.sha256
        with self._lock:
            incoming.replace(path)
            artifact = Artifact(described.sha256, described.size, name, media_type).at(path)
            self._kept.pop(artifact.sha256, None)
            self._kept[artifact.sha256] = artifact
            self._forget_oldest()
        return artifact

    def find(self, artifact: Artifact) -> Path:
        """Return the local file of an artifact.

        Raises:
            ArtifactUnavailable: it is not kept here, or not any more.
        """
        return self.get(artifact.sha256).path

    def get(self, sha256: str) -> Artifact:
        """Return a kept file by its digest.

        Raises:
            ArtifactUnavailable: it is not kept here, or not any more.
        """
        with self._lock:
            found = self._kept.get(sha256)
        if found is None:
            raise ArtifactUnavailable(f"the file {sha256[:12]!r} is not kept here, or not any more")
        return found

    def _forget_oldest(self) -> None:
        total = sum(artifact.size for artifact in self._kept.values())
        while len(self._kept) > self._limits.kept_files or (total > self._limits.kept_bytes and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            total -= oldest.size
            oldest.path.unlink(missing_ok=True)
