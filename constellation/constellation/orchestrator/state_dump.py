"""State dumps: all that is known of a run in one JSON file, for a report of a bug, and to be replayed elsewhere.

A dump holds the journal's records of a run and of those nested in it, as they are or redacted, and, when the run was in
an orchestrator's hands, what that one thought of it. `retrace` in scheduling says where the records lead.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ..graph.errors import show_path
from ..journal import Journal, RunSummary
from ..scheduling import RunMachine
from .errors import BadDump
from .recovery import family_of
from .redaction import hidden, redacted

DUMP_FORMAT = "constellation-dump/1"

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class DumpedRecord:
    """A record of the journal; `body` is its JSON, or its text where it is none."""

    seq: int
    at: float
    kind: str
    body: Any

    __pydantic_config__ = _STRICT

    def text(self) -> bytes:
        """The body as the journal has it."""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class LiveAttempt:
    """An attempt as the orchestrator that made the dump knew it."""

    star: str
    device: str
    epoch: int
    started: bool
    stopping: str | None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What an orchestrator thought of a run that it had in hand.

    Attributes:
        state: The run's state.
        records: How many records it had written of it.
        stale: How many events about it came too late to mean anything.
        stars: The state of each star.
        attempts: The attempts that were going on, by their ids.
    """

    state: str
    records: int
    stale: int
    stars: Mapping[str, str]
    attempts: Mapping[str, LiveAttempt]

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class DumpedRun:
    """A run of a dump: its summary in the journal, its records, and its live state where there was one."""

    summary: RunSummary
    records: Sequence[DumpedRecord]
    live: LiveRun | None = None

    __pydantic_config__ = _STRICT


@dataclass(frozen=True, slots=True)
class RunDump:
    """A run for a report of a bug.

    Attributes:
        format: `DUMP_FORMAT`.
        version: The release that made the dump.
        python: Its Python.
        platform: Its machine.
        redacted: Whether texts were taken out.
        runs: The run, and then those nested in it.
    """

    format: str
    version: str
    python: str
    platform: str
    redacted: bool
    runs: Sequence[DumpedRun]

    __pydantic_config__ = _STRICT

    def text(self) -> str:
        """The dump as JSON text, in ASCII: what a star has put out must not reach a terminal as it is."""
        return json.dumps(_adapter().dump_python(self), indent=1) + "\n"


@cache
def _adapter() -> TypeAdapter[RunDump]:
    return TypeAdapter(RunDump)


async def make_dump(
    journal: Journal, run: str, *, live: Mapping[str, LiveRun] | None = None, redact: bool = False
) -> RunDump:
    """Gather what a journal has of a run; raises RunNotFound, AmbiguousRun.

    Args:
        journal: Where the run is kept.
        run: Its id, or the beginning of it.
        live: What an orchestrator thinks of the runs that it has in hand.
        redact: Take out all texts that are private, see `redaction`.
    """
    runs = []
    for summary in await family_of(journal, (await journal.run(run)).run):
        records = [
            DumpedRecord(record.seq, record.at, record.kind, _body(record.body, redact))
            async for record in journal.read(summary.run)
        ]
        shown = _without_names(summary) if redact else summary
        runs.append(DumpedRun(shown, records, (live or {}).get(summary.run)))
    release = version_of("constellation-agents")
    return RunDump(DUMP_FORMAT, release, platform.python_version(), platform.platform(), redact, runs)


def live_run(machine: RunMachine, records: int) -> LiveRun:
    """What is known of a run in hand, of which so many records were written."""
    attempts = {
        str(attempt.id): LiveAttempt(
            attempt.star,
            attempt.device,
            attempt.epoch,
            attempt.started,
            attempt.stopping.value if attempt.stopping else None,
        )
        for attempt in machine.attempts.values()
    }
    stars = {str(star): machine.graph.state(star).value for star in machine.graph}
    return LiveRun(machine.state, records, machine.stale, stars, attempts)


def _body(body: bytes, redact: bool) -> Any:
    try:
        value = json.loads(body)
    except ValueError:
        text = body.decode(errors="replace")
        return hidden(text) if redact else text
    return redacted(value) if redact else value


def _without_names(summary: RunSummary) -> RunSummary:
    return RunSummary(
        run=summary.run,
        name=hidden(summary.name),
        state=summary.state,
        created_at=summary.created_at,
        updated_at=summary.updated_at,
        parent=summary.parent,
        events=summary.events,
        info=hidden(summary.info),
    )


def dump_from_json(value: object) -> RunDump:
    """A dump from JSON values; raises BadDump, with the record where it is one that is wrong."""
    try:
        dump = _adapter().validate_python(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise BadDump(f"{_place(value, problem['loc'])}: {problem['msg']}") from None
    if dump.format != DUMP_FORMAT:
        raise BadDump(f"it has the format {dump.format!r}, and this release reads {DUMP_FORMAT!r}")
    if not dump.runs:
        raise BadDump("it has no runs")
    for run in dump.runs:
        for number, record in enumerate(run.records, start=1):
            if record.seq != number:
                raise BadDump(f"run {run.summary.run}: where record {number} should be, record {record.seq} is")
    return dump


def read_dump(path: Path) -> RunDump:
    """Read a dump from a file; raises BadDump, OSError."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadDump(f"{path} is no dump: it is no JSON ({error})") from error
    try:
        return dump_from_json(value)
    except BadDump as error:
        raise BadDump(f"{path} is no dump that can be read: {error}") from None


def _place(value: Any, path: Sequence[str | int]) -> str:
    """A place in a dump in words: of a record, its run and its number."""
    match list(path):
        case ["runs", int(at), "records", int(index), *rest]:
            run = value["runs"][at].get("summary", {}).get("run", f"number {at + 1}")
            return f"run {run}: record {index + 1}" + (f": {show_path(rest)}" if rest else "")
        case _:
            return show_path(path)
