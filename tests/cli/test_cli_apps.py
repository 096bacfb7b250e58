"""Applications whose runs `constellation resume` goes on with."""

from __future__ import annotations

from importlib import metadata

import pytest

from constellation.cli import apps
from constellation.cli.apps import GROUP, app_of
from constellation.cli.errors import BadInput


def offer(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    points = metadata.EntryPoints(metadata.EntryPoint(name, value, GROUP) for name, value in values.items())
    monkeypatch.setattr(apps, "entry_points", lambda **wanted: points.select(**wanted))


def test_a_run_of_no_application_has_none() -> None:
    assert app_of("r", {"file": "flow.yaml"}) is None


def test_a_run_finds_its_application_by_its_info(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, mine="json:dumps", other="json:loads")
    import json

    assert app_of("r", {"app": "mine"}) is json.dumps


def test_an_application_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    with pytest.raises(BadInput, match="run r belongs to the application 'mine', which is not installed"):
        app_of("r", {"app": "mine"})


def test_an_application_that_can_not_be_loaded_is_named_with_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, mine="no_such_module:app")
    with pytest.raises(BadInput, match="can't be loaded from 'no_such_module:app': ModuleNotFoundError"):
        app_of("r", {"app": "mine"})


def test_the_demo_is_an_application() -> None:
    app = app_of("r", {"app": "demo"})
    assert app is not None
    assert app.report_file({}) is None
