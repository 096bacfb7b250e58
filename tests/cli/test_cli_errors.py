"""Every mistake that a user can make gets an error that names the place and the fix, code 2, and no traceback."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from constellation.cli import main
from constellation.cli.errors import RunBroken, exit_code, is_users, leaves, told
from constellation.console.output import OutputClosed
from constellation.graph import UnknownStar
from constellation.scheduling import SchedulingError
from constellation.scheduling.errors import InvariantBroken

Flow = Callable[..., str]

GOOD = "name: good\nstars:\n  a: {work: {tool: system_profile}}\n"

BAD_FILES = {
    "cycle": (
        "name: x\nstars:\n  a: {work: {tool: system_profile}}\n  b: {work: {tool: system_profile}}\n"
        "lines: [{source: a, target: b}, {source: b, target: a}]\n",
        r"flow.yaml:5:\d+: .*a → b → a",
    ),
    "unknown star in a line": (
        GOOD + "lines:\n  - {source: a, target: nobody}\n",
        r"flow.yaml:5:\d+: .*'nobody'",
    ),
    "unknown tool": (
        "name: x\nstars:\n  a: {work: {tool: sytem_profile}}\n",
        r"flow.yaml:3:14: stars.a.work.tool: .*'sytem_profile'; did you mean 'system_profile'",
    ),
    "arguments that do not fit": (
        "name: x\nstars:\n  a: {work: {tool: files_read, arguments: {pth: x}}}\n",
        r"flow.yaml:3:32: stars.a.work.arguments: the arguments don't fit the tool 'files_read': "
        r"there is no argument 'pth' \(it takes path",
    ),
    "reference to a star that is not there": (
        'name: x\nstars:\n  a: {work: {tool: files_read, arguments: {path: {$ref: "b#/x"}}}}\n',
        r"flow.yaml:3:\d+: stars.a.work.arguments.path.*'b'",
    ),
    "malformed": ("name: x\nstars: {a: [\n", r"flow.yaml:3:1: malformed YAML"),
    "newer format": ("format: constellation/99\nname: x\nstars: {}\n", r"flow.yaml:1:1: format: .*upgrade"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_the_place_and_the_fix(
    case: str, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    text, message = BAD_FILES[case]
    assert main(["validate", flow(text)]) == 2
    captured = capsys.readouterr()
    assert re.match(f"error: .*{message}", captured.err)
    assert captured.out == ""
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["run", "flow.yaml", "--hub", "http://x"], "is no hub's URL"),
        (["run", "flow.yaml", "--hub", "ws://h:99999"], "is no hub's URL"),
        (["run", "flow.yaml", "--hub", "ws://127.0.0.1:1"], "set CONSTELLATION_TOKEN"),
        (["run", "flow.yaml", "--hub", "ws://127.0.0.1:1", "--devices", "2"], "--devices can't go with --hub"),
        (["run", "flow.yaml", "--token-file", "t"], "--token-file goes with --hub"),
        (["run", "flow.yaml", "--root", "nowhere"], "--root nowhere is no directory"),
        (["run", "flow.yaml", "--report", "."], "--report . is a directory"),
        (["run", "flow.yaml", "--report", "no/r.md"], "there is no directory no; make it first"),
        (["run", "flow.yaml", "--devices", "0"], "--devices"),
        (["run", "flow.yaml", "--approve", "maybe"], "--approve"),
        (["run", "flow.yaml", "--journal", "mysql://u:secret@h/d"], "no journal can be opened"),
        (["run"], "FILE"),
        (["run", "flow.yaml", "--colour"], "No such option: --colour"),
        (["rnu"], "Did you mean 'run'"),
        (["resume", "zzz"], "no run 'zzz' in the journal"),
        (["show", "zzz"], "no run 'zzz' in the journal"),
        (["show", "zzz.yaml"], "zzz.yaml: there is no such file"),
        (["devices", "--hub", "ws://127.0.0.1:1", "--token-file", "nowhere"], "--token-file nowhere can't be read"),
        (["devices", "--hub", "ws://127.0.0.1:1", "--token-file", "empty"], "--token-file empty holds no token"),
        (["devices", "--hub", "ws://127.0.0.1:1", "--token-file", "binary"], "--token-file binary holds no token"),
        (["serve", "--host", "0.0.0.0"], "give --tls-cert and --tls-key"),
        (["serve", "--host", "example.org"], "give --tls-cert and --tls-key"),
        (["serve", "--tls-cert", "c.pem"], "--tls-cert and --tls-key go together"),
        (
            ["serve", "--tls-cert", "empty", "--tls-key", "empty"],
            "certificate empty with the key empty can't be used",
        ),
        (["serve", "--token-file", "no/t"], "the token can't be written to no/t"),
    ],
)
def test_bad_input_is_code_2_and_an_error_that_says_what_to_do(
    arguments: list[str], message: str, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    flow(GOOD)
    Path("empty").touch()
    Path("binary").write_bytes(b"\xff\xfe")
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert "secret" not in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_a_hub_that_is_not_there_is_named(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    Path("token").write_text("a-token")
    assert main(["devices", "--hub", "ws://127.0.0.1:1", "--token-file", "token"]) == 2
    err = capsys.readouterr().err
    assert "ws://127.0.0.1:1" in err
    assert "a-token" not in err


def test_without_a_command_the_help_is_shown_and_it_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    for command in ("run", "validate", "show", "runs", "resume", "serve", "devices", "version", "device"):
        assert re.search(rf"^  {command} ", out, flags=re.MULTILINE)


@pytest.mark.parametrize("how", ["option", "variable", "off"])
def test_a_traceback_is_shown_to_those_who_ask(
    how: str, flow: Flow, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSTELLATION_DEBUG", "1" if how == "variable" else "0")
    assert main([*(["--debug"] if how == "option" else []), "validate", "nowhere.yaml"]) == 2
    err = capsys.readouterr().err
    assert ("Traceback" in err) is (how != "off")
    assert "error: nowhere.yaml: there is no such file" in err


def test_a_bug_of_ours_keeps_its_traceback(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("constellation.graph.files.read_file", broken)
    with pytest.raises(ZeroDivisionError):
        main(["validate", flow(GOOD)])


def test_ctrl_c_before_there_is_anything_to_stop_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("constellation.cli.dispatch.dispatch", interrupted)
    assert main(["version"]) == 130
    monkeypatch.undo()
    monkeypatch.setattr("constellation.graph.files.read_file", interrupted)
    assert main(["validate", "flow.yaml"]) == 130


def test_errors_in_groups_are_told_one_by_one_and_once() -> None:
    group = ExceptionGroup("x", [UnknownStar("a"), ExceptionGroup("y", [OSError(2, "gone", "f\x1b")])])
    causes = list(leaves(group))
    assert [told(cause) for cause in causes] == [["there is no star 'a'"], ["f\\e: gone"]]
    assert told(SchedulingError()) == ["SchedulingError"]
    assert told(OSError("plain")) == ["plain"]


def test_what_is_a_users_error_and_what_a_bug() -> None:
    assert is_users(UnknownStar("a"))
    assert is_users(OSError())
    assert not is_users(InvariantBroken())
    assert not is_users(OutputClosed())
    assert not is_users(ValueError())
    assert (exit_code(RunBroken()), exit_code(UnknownStar("a"))) == (1, 2)


def test_a_made_token_is_for_its_owners_eyes_only_and_kept(home: Path) -> None:
    from constellation.cli.hub import hub_secret

    token, place = hub_secret(None)
    assert place == home / "hub-token"
    assert place.read_text().strip() == token
    assert len(token) >= 32
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o600
    assert hub_secret(None) == (token, place), "devices find the hub again after a restart"
    assert hub_secret(Path("mine"))[0] != token


def test_a_token_from_the_environment_is_not_written_down(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from constellation.cli.hub import hub_secret

    monkeypatch.setenv("CONSTELLATION_TOKEN", "from-outside")
    assert hub_secret(None) == ("from-outside", None)
    assert not home.exists()
