"""The parts of MCP that do no I/O: names, schemas, lines, waits, words, numbers of progress, and settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_tools.mcp import BadMcpServer, McpMisbehaved, McpServer, read_servers
from constellation_tools.mcp.backoff import Backoff
from constellation_tools.mcp.lines import MAX_STRAY_LINES, LineReader
from constellation_tools.mcp.naming import tool_names
from constellation_tools.mcp.schemas import accepted_schema
from constellation_tools.mcp.serving.progress import ProgressCounter
from constellation_tools.mcp.serving.results import _artifacts
from constellation_tools.schema_checking import SchemaChecker
from constellation_tools.wording import cleaned

OBJECT: dict[str, Any] = {"type": "object"}
CLOSED: dict[str, Any] = {"additionalProperties": False}


# --- results ----------------------------------------------------------------------------------------------------------


def test_a_long_result_is_searched_for_files_in_time_that_grows_no_faster_than_it() -> None:
    def seconds(items: int) -> float:
        began = process_time()
        assert list(_artifacts([0] * items)) == []
        return process_time() - began

    assert seconds(200_000) < 50 * seconds(20_000)


# --- names ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=100), unique=True, max_size=20), st.sampled_from(["", "fs_", "a" * 33]))
def test_every_name_can_be_a_tools_and_depends_on_no_order(originals: list[str], prefix: str) -> None:
    names = tool_names(originals, prefix)
    assert list(names) == originals
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) and name.startswith(prefix) for name in names.values())
    assert tool_names(reversed(originals), prefix) == names


@given(st.lists(st.from_regex(r"[a-c./_]{1,3}", fullmatch=True), unique=True, max_size=30))
def test_names_that_would_be_the_same_are_told_apart(originals: list[str]) -> None:
    names = tool_names(originals)
    assert len(set(names.values())) == len(originals)
    fitting = [name for name in originals if re.fullmatch(r"[A-Za-z0-9_-]+", name)]
    assert all(names[name] == name for name in fitting)


def test_a_long_name_is_cut_and_marked() -> None:
    one, other = "x" * 70, "x" * 71
    names = tool_names([one, other], "p_")
    assert len(set(names.values())) == 2
    assert all(len(name) == 64 for name in names.values())


# --- schemas ----------------------------------------------------------------------------------------------------------


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return {**OBJECT, **schema}


def doubling(levels: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {f"d{levels}": {}}
    for level in range(levels):
        definitions[f"d{level}"] = {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2}
    return {**OBJECT, "$defs": definitions, "allOf": [{"$ref": "#/$defs/d0"}]}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (nested(40), "nested more than 64"),
        ({**OBJECT, "description": "x" * 2_000}, "takes"),
        ({**OBJECT, "properties": {"a": {"$ref": "https://example.org/s"}}}, "outside of itself"),
        ({**OBJECT, "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "outside of itself"),
        ({**OBJECT, "properties": {"a": {"$ref": "#/$defs/none"}}}, "is not there"),
        (doubling(20), "parts"),
    ],
)
def test_schemas_that_would_keep_us_busy_are_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(McpMisbehaved, match=reason):
        accepted_schema(schema, max_bytes=1_900)


def test_recursive_schemas_are_taken_and_copied() -> None:
    schema = {**OBJECT, "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    taken = accepted_schema(schema, max_bytes=10_000)
    assert taken == schema
    taken["properties"].clear()
    assert schema["properties"]


# --- arguments --------------------------------------------------------------------------------------------------------


def problems(schema: dict[str, Any], arguments: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in SchemaChecker("t", {**OBJECT, **schema}).check(arguments)[1]]


PLACE = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0}}, "required": ["x"]}


STRING, EITHER = {"type": "string"}, {"anyOf": [{"type": "null"}, {"type": "integer"}]}
TOO_LOW = "p[0].x: expected minimum number 0, got number -1"
NO_CHOICE = 'a: expected one of string "x", string "y", got string "z"'
NO_ALTERNATIVE = 'a: expected one of the alternatives of the schema, got string "z"'


@pytest.mark.parametrize(
    ("schema", "arguments", "told"),
    [
        ({"properties": {"a": STRING}, "required": ["a"]}, {}, "a: expected a value, it is required, got nothing"),
        ({"properties": {"p": PLACE}}, {"p": {"x": "1"}}, 'p.x: expected integer, got string "1"'),
        ({"properties": {"p": {"type": "array", "items": PLACE}}}, {"p": [{"x": -1}]}, TOO_LOW),
        ({"properties": {"a": {}}, **CLOSED}, {"b": 1}, "b: expected one of the arguments a, got number 1"),
        (CLOSED, {"b": 1}, "b: expected nothing of this name, got number 1"),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": "z"}, NO_CHOICE),
        ({"properties": {"a": {"const": 1}}}, {"a": 2}, "a: expected number 1, got number 2"),
        ({"properties": {"a": EITHER}}, {"a": "z"}, NO_ALTERNATIVE),
        (
            {"properties": {"a": {"type": ["null", "integer"]}}},
            {"a": "z"},
            'a: expected null or integer, got string "z"',
        ),
        ({"minProperties": 1}, {}, "arguments: expected minProperties number 1, got object {}"),
    ],
)
def test_arguments_that_do_not_fit_are_told_where_and_why(
    schema: dict[str, Any], arguments: dict[str, Any], told: str
) -> None:
    assert problems(schema, arguments) == [told]


def test_text_is_read_where_a_structure_is_wanted() -> None:
    checker = SchemaChecker("t", {**OBJECT, "properties": {"p": PLACE, "l": {"type": ["array", "null"]}}})
    assert checker.check({"p": '{"x": 1}', "l": "[1]"}) == ({"p": {"x": 1}, "l": [1]}, [])
    given_ = {"p": '{"x": "1"}', "l": "none"}
    assert checker.check(given_)[0] == given_
    assert len(checker.check(given_)[1]) == 2


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"pattern": "^(x+x+)+y$"}}},
        {"patternProperties": {"^(x+x+)+y$": {}}, "additionalProperties": False},
        {"$ref": "#"},
        {"properties": {"a": {"$ref": "https://example.org/never-fetched"}}},
        {"properties": {"a": {"type": "no such type"}}},
        {"properties": 7},
    ],
)
def test_what_may_take_for_ever_or_makes_no_sense_is_left_to_the_server(schema: dict[str, Any]) -> None:
    assert problems(schema, {"a": "x" * 40}) == []


# --- lines ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")), max_size=10), st.data())
def test_lines_come_out_however_the_bytes_come_in(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    reader, found, start = LineReader(100), [], 0
    while start < len(stream):
        end = data.draw(st.integers(start + 1, len(stream)))
        found += list(reader.feed(stream[start:end]))
        start = end
    assert found == [stripped for line in lines if (stripped := line.strip())]


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6, b"x" * 6], [b"x" * 6, b"x" * 6 + b"\n"]])
def test_a_line_that_is_too_long_is_no_line_however_it_comes(chunks: list[bytes]) -> None:
    reader = LineReader(10)
    with pytest.raises(McpMisbehaved, match="more than 10 bytes"):
        [list(reader.feed(chunk)) for chunk in chunks]


def test_too_many_lines_in_a_row_that_are_no_messages_are_too_many() -> None:
    reader = LineReader(10)
    for _ in range(2):
        for count in range(1, MAX_STRAY_LINES + 1):
            assert reader.stray() == count
        reader.understood()
    for _ in range(MAX_STRAY_LINES):
        reader.stray()
    with pytest.raises(McpMisbehaved):
        reader.stray()


# --- waits, words, progress -------------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_waits_grow_to_a_bound_and_are_spread(failures: int, chance: float) -> None:
    backoff = Backoff(first_s=0.1, most_s=15.0)
    delay = backoff.delay_s(failures, chance)
    whole = backoff.delay_s(failures, 0.0)
    assert whole / 2 <= delay <= whole <= 15.0
    assert backoff.delay_s(failures + 1, 0.0) >= whole


def test_words_of_a_server_lose_what_can_not_be_seen_and_what_is_too_much() -> None:
    assert cleaned("a\x1b[31mb\u202ec\u200bd\U000e0041\te\r\nf \n", 100) == "a[31mbcd\te\nf"
    assert cleaned("x" * 12, 10) == "x" * 10 + "… (2 more characters)"
    assert cleaned(None, 10) == ""
    assert cleaned("\ud800", 10) == "?"


Report = st.tuples(st.none() | st.text(max_size=5), st.none() | st.floats(0, 1), st.none() | st.integers())


@given(st.lists(Report, min_size=1))
def test_progress_only_grows_and_never_beyond_the_whole(reports: list[Any]) -> None:
    counter, last = ProgressCounter(), 0.0
    for report in reports:
        done, total, _ = counter.next(*report)
        assert done > last
        assert total is None or done <= total
        last = done


def test_shares_that_come_after_text_are_told_in_words() -> None:
    counter = ProgressCounter()
    assert counter.next("begun", None, None) == (1, None, "begun")
    assert counter.next(None, 0.5, None) == (2, None, "50%")
    assert counter.next(None, None, {"rows": 3}) == (3, None, '{"rows":3}')


# --- settings ---------------------------------------------------------------------------------------------------------


def test_servers_are_named_by_a_command_or_a_url() -> None:
    server = McpServer.parse("""fs=npx -y '@scope/pkg' "a dir" """)
    assert (server.name, list(server.command), server.tool_prefix) == (
        "fs",
        ["npx", "-y", "@scope/pkg", "a dir"],
        "fs_",
    )
    assert McpServer.parse("npx -y pkg").tool_prefix == ""
    assert McpServer.parse("web=https://example.org/mcp?a=b").url == "https://example.org/mcp?a=b"
    assert McpServer.parse("https://example.org/mcp").label == "'example.org'"
    assert McpServer(name="a", command=["b"], prefix="").tool_prefix == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs a command"),
        ("fs= ", "needs a command"),
        ("'unclosed", "can't be read"),
        ("https://", "no URL"),
        ("https://user:pass@example.org/mcp", "holds a password"),
        ("https://example.org:99999/mcp", "no URL"),
        (f"{'n' * 33}=npx", "can't be an MCP server's name"),
    ],
)
def test_what_can_not_be_a_server_is_refused_without_its_secrets(text: str, reason: str) -> None:
    with pytest.raises(BadMcpServer, match=reason) as refused:
        McpServer.parse(text)
    assert "pass@" not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"command": ["a"], "url": "https://example.org"},
        {"command": ["a"], "prefix": "no spaces"},
        {"url": "ftp://example.org/"},
        {"url": "http://example.org/mcp", "headers": {"Authorization": "Bearer s"}},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadMcpServer):
        McpServer(**settings)


def test_secrets_are_in_no_text_about_a_server() -> None:
    server = McpServer(url="https://example.org/mcp", headers={"Authorization": "Bearer sesame"}, env={"KEY": "sesame"})
    assert "sesame" not in f"{server} {server!r} {server.label}"


def test_a_file_of_servers_is_read_as_other_programs_write_it(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    stdio = {
        "command": "npx",
        "args": ["-y", "x"],
        "env": {"K": "v"},
        "type": "stdio",
        "timeoutS": 5,
        "idempotent": ["get_*"],
    }
    web = {"url": "https://example.org/mcp", "headers": {"A": "b"}, "trustAnnotations": True, "prefix": ""}
    servers = {"fs": stdio, "web": web, "off": {"command": "no", "disabled": True}}
    file.write_text(json.dumps({"mcpServers": servers, "theme": "dark"}))
    one, other = read_servers(file)
    assert (one.name, list(one.command), one.env, one.limits.call_s) == ("fs", ["npx", "-y", "x"], {"K": "v"}, 5)
    assert (one.may_repeat("get_x"), one.may_repeat("set_x")) == (True, False)
    assert (other.url, other.headers, other.trust_annotations, other.tool_prefix) == (web["url"], {"A": "b"}, True, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is no list of MCP servers"),
        ('{"servers": {}}', "mcpServers: Field required"),
        ('{"mcpServers": {"a": {"command": 7}}}', "mcpServers.a.command"),
        ('{"mcpServers": {"a": {}}}', "either a command or a URL"),
        ('{"mcpServers": {"a": {"command": "x", "env": {"K": ["sesame"]}}}}', "env.K"),
        (" " * 1_048_577, "longer than"),
    ],
)
def test_a_file_of_servers_that_is_none_is_refused_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(text)
    with pytest.raises(BadMcpServer, match=reason) as refused:
        read_servers(file)
    assert "sesame" not in str(refused.value)


def test_a_file_of_servers_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadMcpServer, match=r"none\.json"):
        read_servers(tmp_path / "none.json")
