"""How many files the results of each run refer to, and how many bytes these have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from constellation_protocol.messages import ArtifactInfo

from ..scheduling import RunId
from .limits import HubLimits


@dataclass(slots=True)
class _Used:
    files: set[str] = field(default_factory=set)
    size: int = 0


class ArtifactQuota:
    """What each run that goes on has brought; each file counts once, however often it is referred to."""

    def __init__(self) -> None:
        self._used: dict[RunId, _Used] = {}

    def charge(self, run: RunId, artifacts: Sequence[ArtifactInfo], limits: HubLimits) -> str | None:
        """Count the files of one result, or count none of them and say why they are too many."""
        used = self._used.setdefault(run, _Used())
        fresh = {item.sha256: item.size for item in artifacts if item.sha256 not in used.files}
        count, size = len(used.files) + len(fresh), used.size + sum(fresh.values())
        if count > limits.artifacts_per_run:
            return f"the run would have {count} files, and may have {limits.artifacts_per_run}"
        if size > limits.artifact_bytes_per_run:
            return f"the files of the run would have {size} bytes, and may have {limits.artifact_bytes_per_run}"
        used.files.update(fresh)
        used.size = size
        return None

    def forget(self, run: RunId) -> None:
        """Count nothing any more for a run that has ended."""
        self._used.pop(run, None)
