"""The device's files as a tool sees them: keeping what it makes, finding what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from constellation_protocol.artifacts import ArtifactStore
from constellation_tools import Artifact
from constellation_tools.errors import ArtifactUnavailable

from .outputs import DEFAULT_MEDIA_TYPE, artifact_of


@dataclass(frozen=True, slots=True)
class ToolFiles:
    """What a `ToolContext` is given to keep and find files in the device's store; usable from any thread."""

    store: ArtifactStore

    def keep(self, source: Path | bytes, name: str, media_type: str) -> Artifact:
        """Copy a file or bytes into the store."""
        media_type = media_type or DEFAULT_MEDIA_TYPE
        if isinstance(source, bytes):
            info = self.store.put_bytes(source, name=name, media_type=media_type)
        else:
            info = self.store.put_file(source, name=name, media_type=media_type)
        return artifact_of(info).at(self.store.path(info.sha256))

    def find(self, artifact: Artifact) -> Path:
        """Return the local file of an artifact.

        Raises:
            ArtifactUnavailable: it is not in this device's store.
        """
        if not self.store.has(artifact.sha256):
            raise ArtifactUnavailable(
                f"artifact {artifact.name or artifact.sha256[:12]!r} is not on this device: "
                "only files that the call's arguments refer to are brought here"
            )
        return self.store.path(artifact.sha256)
