"""Commands of other packages: found when used, listed in the help, and in nobody's way when they are broken."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from constellation.cli import extensions, main
from constellation.cli.extensions import GROUP

MODULE = '''"""Commands of somebody else."""
from typing import Annotated
import typer

def greet(name: str, loud: Annotated[bool, typer.Option("--loud")] = False) -> int:
    """Greet somebody."""
    typer.echo(f"hello {name}{'!' if loud else ''}")
    return 7

def quiet() -> None:
    """Say nothing."""

def leave() -> None:
    """Leave with a code."""
    raise typer.Exit(5)

def give_up() -> None:
    """Give up."""
    raise typer.Abort

several = typer.Typer(rich_markup_mode=None, help="Do one of several things.")
several.command()(greet)
several.command()(leave)
'''


@pytest.fixture
def installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of somebody else, one of which can't be loaded, and one that has the name of ours."""
    Path("somebody_else.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    names = {
        "greet": "greet",
        "quiet": "quiet",
        "leave": "leave",
        "give-up": "give_up",
        "several": "several",
        "broken": "no_such",
        "version": "greet",
    }
    points = [EntryPoint(name, f"somebody_else:{attribute}", GROUP) for name, attribute in names.items()]
    monkeypatch.setattr(extensions, "entry_points", lambda *, group: points)


@pytest.mark.usefixtures("installed")
class TestInstalled:
    def test_a_command_of_another_package_runs_with_its_options_and_code(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["greet", "you", "--loud"]) == 7
        assert capsys.readouterr().out == "hello you!\n"

    def test_a_command_that_returns_nothing_is_done_and_one_that_leaves_has_its_code(self) -> None:
        assert main(["quiet"]) == 0
        assert main(["leave"]) == 5
        assert main(["give-up"]) == 130

    def test_a_command_may_have_commands_of_its_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["several", "greet", "you"]) == 7
        assert capsys.readouterr().out == "hello you\n"
        assert main(["several", "leave"]) == 5
        assert main(["--help"]) == 0
        assert "several   Do one of several things." in capsys.readouterr().out

    @pytest.mark.parametrize("arguments", [[], ["--help"], ["--seed", "5", "x"]])
    def test_a_broken_one_says_so_when_it_is_used(
        self, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["broken", *arguments]) == 2
        err = capsys.readouterr().err
        assert err.startswith(
            "error: the command 'broken' can't be loaded from 'somebody_else:no_such': AttributeError"
        )
        assert "Traceback" not in err

    def test_the_help_lists_them_all_and_a_broken_one_keeps_nobody_from_it(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--help"]) == 0
        out = capsys.readouterr().out
        assert "greet     Greet somebody." in out
        assert "broken    (can't be loaded)" in out
        assert out.count("  version ") == 1

    def test_our_own_commands_can_not_be_replaced(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["version"]) == 0
        assert capsys.readouterr().out.startswith("constellation ")


def test_the_devices_command_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "--help"]) == 0
    assert "--url" in capsys.readouterr().out
