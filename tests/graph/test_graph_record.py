"""Records: values like frozen dataclasses, which the type checker guards."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from mypy import api
from pydantic import TypeAdapter

from constellation.graph import Outcome, StarError, StarId, TaskStarLine, Trigger
from constellation.graph import record as record_module

POINT = """
from dataclasses import field, replace
from record import record

@record
class Point:
    x: int
    y: int = 0
    tags: list[str] = field(default_factory=list)

point = Point(1, y=2)
"""


@pytest.mark.parametrize(
    ("use", "complaint"),
    [
        ("point.x = 3", 'Property "x" defined in "Point" is read-only'),
        ("point.tags = []", 'Property "tags" defined in "Point" is read-only'),
        ("Point('1')", 'Argument 1 to "Point" has incompatible type "str"; expected "int"'),
        ("replace(point, z=1)", 'Unexpected keyword argument "z" for "replace" of "Point"'),
        ("replace(point, x=3).tags.append('a'); assert point == Point(1, 2)", None),
    ],
)
def test_the_type_checker_keeps_a_record_as_it_was_made(use: str, complaint: str | None, tmp_path: Path) -> None:
    (tmp_path / "record.py").write_text(inspect.getsource(record_module))
    (tmp_path / "use.py").write_text(f"{POINT}{use}\n")
    arguments = ["--strict", "--config-file=", f"--cache-dir={tmp_path.parent / 'mypy'}", "--no-color-output"]
    said, _, status = api.run([*arguments, str(tmp_path / "record.py"), str(tmp_path / "use.py")])
    if complaint is None:
        assert status == 0, said
    else:
        assert f"error: {complaint}" in said


def test_records_are_values() -> None:
    line = TaskStarLine(StarId("a"), StarId("b"))
    assert line == TaskStarLine(StarId("a"), StarId("b"))
    assert len({line, TaskStarLine(StarId("a"), StarId("b")), replace(line, trigger=Trigger.FAILURE)}) == 2
    assert pickle.loads(pickle.dumps(line)) == line
    with pytest.raises(AttributeError):
        line.colour = "red"  # type: ignore[attr-defined]


def test_records_are_validated_like_dataclasses() -> None:
    made = TypeAdapter(Outcome).validate_json('{"error": {"type": "Boom", "message": "it broke"}, "attempts": 2}')
    assert made == Outcome(error=StarError("Boom", "it broke"), attempts=2)
