"""`docs/cli.md` lists exactly the commands, options and exit codes that there are."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from constellation import DeviceInfo, RunSummary
from constellation.cli import main
from constellation.cli.errors import OUTPUT_CLOSED

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
OWN = [
    *("ask", "run", "resume", "validate", "show", "runs", "story", "dump", "replay"),
    *("gc", "serve", "devices", "mcp", "version"),
]
MODELS = ["models check"]
TOKENS = ["tokens create", "tokens list", "tokens revoke"]
TOOLS = ["tools call", "tools check", "tools list", "tools serve", "tools show"]


def sections() -> dict[str, str]:
    parts = re.split(r"^## `?(?:constellation )?([^`\n]+)`?$", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first_column(text: str) -> list[str]:
    return re.findall(r"^\| `?([\w-]+)`? \|", text, flags=re.MULTILINE)


@pytest.mark.parametrize("command", OWN + MODELS + TOKENS + TOOLS)
def test_a_section_lists_exactly_the_options_of_its_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    options = set(re.findall(r"^  (?:-[a-z], )?(--[a-z-]+)", capsys.readouterr().out, flags=re.MULTILINE)) - {"--help"}
    listed = [name for name in first_column(sections()[command]) if re.match("--[a-z]", name)]
    assert sorted(listed) == sorted(options)


def test_every_command_has_a_section_or_is_named_among_those_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    commands = set(re.findall(r"^  ([a-z]+)  +\S", capsys.readouterr().out.split("Commands:")[1], flags=re.MULTILINE))
    others = sections()["Commands of other packages"]
    own = {command.split()[0] for command in OWN + MODELS + TOKENS + TOOLS}
    assert own <= commands
    assert all(f"`constellation {command}`" in others for command in commands - own)


@pytest.mark.parametrize(("group", "known"), [("models", MODELS), ("tokens", TOKENS), ("tools", TOOLS)])
def test_every_command_of_a_group_has_a_section(
    group: str, known: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([group, "--help"])
    commands = re.findall(r"^  ([a-z]+)  +\S", capsys.readouterr().out.split("Commands:")[1], flags=re.MULTILINE)
    assert sorted(f"{group} {command}" for command in commands) == known
    assert set(known) <= set(sections())


def test_the_fields_of_a_token_are_named(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    main(["tokens", "create", "rack"])
    capsys.readouterr()
    main(["tokens", "list", "--json"])
    (row,) = re.findall(r"^\| `--json` \|(.*)$", sections()["tokens list"], flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(json.loads(capsys.readouterr().out))


def test_the_exit_codes_that_there_are_are_listed() -> None:
    codes = {int(code) for code in first_column(sections()["Exit codes"]) if code.isdigit()}
    assert codes == {0, 1, 2, 128 + 1, 128 + 2, 128 + 15, OUTPUT_CLOSED}


@pytest.mark.parametrize(("command", "kind"), [("runs", RunSummary), ("devices", DeviceInfo)])
def test_the_fields_of_what_is_listed_as_json_are_named(command: str, kind: type) -> None:
    (row,) = re.findall(r"^\| `--json` \|(.*)$", sections()[command], flags=re.MULTILINE)
    fields = [field.name for field in dataclasses.fields(kind)]
    assert re.findall(r"`(\w+)`", row) == fields


def test_the_fields_of_the_version_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    main(["version", "--json"])
    (row,) = re.findall(r"^\| `--json` \|(.*)$", sections()["version"], flags=re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(json.loads(capsys.readouterr().out))
