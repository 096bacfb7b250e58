"""Artifacts and contexts: files that travel, progress, and noticing that nobody waits any more."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, TypeAdapter, ValidationError

from constellation_tools import (
    Artifact,
    ArtifactUnavailable,
    InvalidArguments,
    ToolCancelled,
    ToolContext,
    tool,
)

CONTENT = b"some content"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
JSON = {"$artifact": DIGEST, "size": 12, "name": "a.txt", "media_type": "text/plain"}
ARTIFACT = Artifact(DIGEST, 12, "a.txt", "text/plain")


class Report(BaseModel):
    main: Artifact
    parts: list[Artifact] = []


def test_an_artifact_has_one_json_form_both_ways() -> None:
    adapter = TypeAdapter(Artifact)
    assert adapter.validate_python(JSON) == ARTIFACT
    assert adapter.dump_python(ARTIFACT, mode="json") == JSON
    assert adapter.validate_json(adapter.dump_json(ARTIFACT)) == ARTIFACT
    assert Artifact.from_json(ARTIFACT.to_json()) == ARTIFACT
    assert adapter.validate_python({"$artifact": DIGEST, "newer": 1}) == Artifact(DIGEST)


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_its_schema_asks_for_the_digest_alone(mode: Any) -> None:
    schema = TypeAdapter(Artifact).json_schema(mode=mode)
    validator = Draft202012Validator(schema)
    assert schema["required"] == ["$artifact"]
    assert validator.is_valid(JSON)
    assert validator.is_valid({"$artifact": DIGEST})
    assert not validator.is_valid({"size": 1})


@pytest.mark.parametrize("wrong", [DIGEST.upper(), DIGEST[1:], DIGEST + "\n", "../../etc/passwd", ""])
def test_only_a_digest_is_taken_for_one(wrong: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        Artifact(wrong)
    with pytest.raises(ValidationError):
        TypeAdapter(Artifact).validate_python({"$artifact": wrong})
    with pytest.raises(ValueError, match="size"):
        Artifact(DIGEST, -1)


def test_artifacts_are_resolved_wherever_they_are_nested(tmp_path: Path) -> None:
    (tmp_path / DIGEST).write_bytes(CONTENT)

    @tool
    def read(one: Artifact, many: dict[str, list[Artifact]], report: Report) -> list[str]:
        files = [one, *many["x"], report.main, *report.parts]
        return [file.path.read_text() for file in files]

    arguments = {"one": JSON, "many": {"x": [JSON, ARTIFACT]}, "report": {"main": JSON, "parts": [JSON]}}
    context = ToolContext(resolve=lambda artifact: tmp_path / artifact.sha256)
    assert read.call_sync(arguments, context) == [CONTENT.decode()] * 5
    resolved = read.validate(arguments, resolve=lambda artifact: tmp_path / artifact.sha256)
    assert resolved["one"].path == tmp_path / DIGEST
    with pytest.raises(ArtifactUnavailable, match=r"'a\.txt'.*ToolContext"):
        _ = read.validate(arguments)["one"].path
    with pytest.raises(InvalidArguments, match=r"one\.\$artifact: expected a value"):
        read.validate({**arguments, "one": {}})


def test_artifacts_are_written_in_json_form_declared_or_not() -> None:
    @dataclasses.dataclass
    class Outcome:
        file: Artifact

    @tool
    def declared() -> list[Outcome | Report]:
        return [Outcome(ARTIFACT), Report(main=ARTIFACT)]

    @tool
    def loose() -> dict[str, Any]:
        return {"a": ARTIFACT, "b": [Outcome(ARTIFACT)]}

    @tool
    def unsaid():  # type: ignore[no-untyped-def]
        return (ARTIFACT,)

    assert declared.call_sync({}) == [{"file": JSON}, {"main": JSON, "parts": []}]
    assert loose.call_sync({}) == {"a": JSON, "b": [{"file": JSON}]}
    assert unsaid.call_sync({}) == [JSON]


def test_a_default_context_keeps_files_until_it_is_gone(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_bytes(CONTENT)
    context = ToolContext(workdir=tmp_path)
    kept = context.artifact(Path("a.txt"), media_type="text/plain")
    source.unlink()
    assert kept == ARTIFACT
    assert context.path(ARTIFACT).read_bytes() == CONTENT
    assert context.artifact(CONTENT) == Artifact(DIGEST, 12)
    with pytest.raises(ArtifactUnavailable, match="not kept here"):
        context.path(Artifact("0" * 64))
    with pytest.raises(ArtifactUnavailable):
        ToolContext().path(ARTIFACT)
    directory = context.path(ARTIFACT).parent
    del context, kept
    gc.collect()
    assert not directory.exists()


def test_a_context_uses_what_its_host_plugs_in(tmp_path: Path) -> None:
    lines: list[Any] = []
    stored: list[Any] = []

    def store(source: Path | bytes, name: str, media_type: str) -> Artifact:
        stored.append((source, name, media_type))
        return ARTIFACT

    context = ToolContext(
        workdir=tmp_path,
        progress=lambda *report: lines.append(report),
        store=store,
        resolve=lambda artifact: tmp_path / artifact.name,
    )
    assert context.artifact(Path("x.bin")) == ARTIFACT
    assert stored == [(tmp_path / "x.bin", "x.bin", "")]
    assert context.path(ARTIFACT) == tmp_path / "a.txt"
    context.progress("half", fraction=0.5, data=[1])
    context.for_call().progress("more")
    assert ToolContext(attempt="run/star/1").for_call().attempt == "run/star/1"
    assert lines == [("half", 0.5, [1]), ("more", None, None)]
    with pytest.raises(ValueError, match="between 0 and 1"):
        context.progress(fraction=50)


def test_progress_reaches_the_host_from_one_thread_at_a_time() -> None:
    inside, most = 0, 0
    seen: list[str | None] = []

    def sink(text: str | None, fraction: float | None, data: Any) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        seen.append(text)
        inside -= 1

    context = ToolContext(progress=sink)
    threads = [
        threading.Thread(target=lambda: [context.for_call().progress("x") for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(seen), most) == (800, 1)


def test_a_call_is_cancelled_by_itself_or_with_its_host() -> None:
    stop = threading.Event()
    host = ToolContext(cancelled=stop.is_set)
    first, second = host.for_call(), host.for_call()
    first.check_cancelled()
    first.cancel()
    assert (first.cancelled, second.cancelled, host.cancelled) == (True, False, False)
    with pytest.raises(ToolCancelled):
        first.check_cancelled()
    stop.set()
    assert second.cancelled


def test_a_default_context_does_nothing_harmful() -> None:
    context = ToolContext()
    context.progress("nobody listens")
    assert context.workdir == Path.cwd()
    assert not context.cancelled
