"""Applications are found by the name that they gave to their run."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from constellation.cli import apps
from constellation.cli.errors import BadInput


@pytest.fixture
def installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("some_app.py").write_text("app = 'the app'\n")
    monkeypatch.syspath_prepend(str(Path.cwd()))
    points = {name: EntryPoint(name, f"some_app:{attribute}", apps.GROUP) for name, attribute in NAMES.items()}
    monkeypatch.setattr(apps, "entry_points", lambda *, group, name: [points[name]] if name in points else [])


NAMES = {"good": "app", "broken": "no_such"}


@pytest.mark.usefixtures("installed")
def test_a_run_belongs_to_the_application_in_its_info_or_to_none() -> None:
    assert apps.app_of("r1", {}) is None
    assert apps.app_of("r1", {"app": "good"}) == "the app"  # type: ignore[comparison-overlap]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "run r1 .*'missing', which is not installed here"),
        ("broken", "run r1 .*can't be loaded .*reinstall"),
    ],
)
def test_an_application_that_is_not_to_be_had_is_named(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        apps.app_of("r1", {"app": name})
