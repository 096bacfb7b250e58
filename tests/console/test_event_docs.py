"""`docs/events.md` lists exactly the events and the fields that there are, with examples that are true."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from constellation.orchestrator.events import Event

DOCS = Path(__file__).parents[2] / "docs" / "events.md"
KINDS = {kind.event: kind for kind in Event.__subclasses__()}
COMMON = ["event", "seq", "time", "run"]


def sections() -> dict[str, str]:
    parts = re.split(r"^## `(\w+)`$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def own_fields(kind: type[Event]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name not in COMMON]


def test_every_event_has_a_section_and_every_section_an_event() -> None:
    assert sorted(sections()) == sorted(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_section_lists_exactly_the_fields_of_its_event(name: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", sections()[name], flags=re.MULTILINE)
    assert listed == own_fields(KINDS[name])


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_example_is_what_the_event_really_looks_like(name: str) -> None:
    (example,) = re.findall(r"```json\n(.*?)\n```", sections()[name], flags=re.DOTALL)
    data = json.loads(example)
    assert list(data)[:4] == COMMON
    assert data.pop("event") == name
    event = KINDS[name](**data)
    assert json.loads(json.dumps(event.as_json())) == json.loads(example)
    shown = [field for field in own_fields(KINDS[name]) if field in data]
    assert [field for field in data if field not in COMMON] == shown, "in the order of the table"


def test_the_fields_that_all_events_share_are_listed_first() -> None:
    head = DOCS.read_text(encoding="utf-8").split("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", head, flags=re.MULTILINE) == COMMON
