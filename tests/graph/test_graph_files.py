"""Constellations as YAML and JSON: nothing is lost on the way, and a mistake in a file gets its place and its fix."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from constellation.graph import (
    SETTLED,
    AddLine,
    AddStar,
    Approval,
    CycleRejected,
    EditBatch,
    EditConflict,
    InvalidDocument,
    Nested,
    NewerFormat,
    Outcome,
    Prompt,
    RemoveStar,
    RetryPolicy,
    StarError,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateStar,
    Work,
)
from constellation.graph.conditions import compile_condition
from constellation.graph.documents import dump, dump_text, load
from constellation.graph.files import MAX_BYTES, parse_text, read_file, write_text
from constellation.graph.invariants import check_invariants
from constellation.graph.yaml_nodes import MAX_ALIASED

compile_condition("true")  # loading the library draws random numbers, which hypothesis forbids in strategies

# --- round trips -----------------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "yes",
        "null",
        "~",
        "1",
        "0x1F",
        "1e3",
        "2024-01-01",
        ".inf",
        "=",
        "<<",
        "- a",
        "a: b",
        "# c",
        " x ",
        "a\nb\n",
        "\u2028",
    ]
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(text.filter(lambda key: key not in ("$ref", "$input")), inner, max_size=3)
    ),
    max_leaves=6,
)
seconds = st.floats(0.001, 1e6)
inner_document = {"format": "constellation/1", "name": "inner", "stars": {"x": {"work": {"tool": "t", "kind": "tool"}}}}


@st.composite
def works(draw: st.DrawFn, upstream: list[str]) -> Work:
    arguments = draw(st.dictionaries(text.filter(lambda key: key != "$ref"), json_values, max_size=3))
    if upstream:
        star = draw(st.sampled_from(upstream))
        pointer = draw(st.sampled_from(["", "/a", "/a~1b/0", "/~0"]))
        arguments["ref"] = [{"$ref": f"{star}#{pointer}"}]
    kind = draw(st.sampled_from(["tool", "prompt", "approval", "nested"]))
    if kind == "tool":
        return ToolCall(draw(text), arguments)
    if kind == "prompt":
        return Prompt(draw(text), arguments, draw(st.none() | st.dictionaries(text, json_values, max_size=2)))
    if kind == "approval":
        return Approval(draw(text), arguments)
    return Nested(inner_document, arguments)


@st.composite
def constellations(draw: st.DrawFn) -> TaskConstellation:
    graph = TaskConstellation(draw(text), description=draw(text), tools=tuple(draw(st.lists(text, max_size=2))))
    ids: list[str] = []
    for index in range(draw(st.integers(0, 5))):
        star = TaskStar(
            StarId(f"s{index}"),
            draw(works(ids)),
            name=draw(text),
            description=draw(text),
            requires=draw(st.dictionaries(text, text | st.integers(0, 9) | seconds, max_size=2)),
            device=draw(st.none() | text),
            timeout_s=draw(st.none() | seconds),
            retry=draw(st.just(RetryPolicy()) | st.builds(RetryPolicy, st.integers(1, 9), seconds, on=st.just(("E",)))),
            priority=draw(st.integers(-9, 9)),
            idempotent=draw(st.none() | st.booleans()),
        )
        lines = [
            TaskStarLine(StarId(source), star.id, trigger, "output == 1" if trigger is Trigger.WHEN else None)
            for source in draw(st.lists(st.sampled_from(ids), max_size=3, unique=True) if ids else st.just([]))
            if (trigger := draw(st.sampled_from(Trigger))) is not Trigger.FAILURE
        ]
        graph.apply(EditBatch((AddStar(star), *map(AddLine, lines))))
        ids.append(star.id)
    if draw(st.booleans()):
        run(graph, draw)
    return graph


def run(graph: TaskConstellation, draw: st.DrawFn) -> None:
    graph.activate()
    for star in graph.in_order():
        if graph.state(star) is StarState.READY and draw(st.booleans()):
            graph.enter(star, StarState.RUNNING)
            state = draw(st.sampled_from([None, *sorted(SETTLED - {StarState.SKIPPED})]))
            if state is not None:
                error = StarError(draw(text), draw(text), {"why": draw(json_values)})
                graph.settle(star, state, Outcome(draw(json_values), error, draw(text), 2, 1.5, 2.5))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=constellations(), yaml=st.booleans())
def test_a_graph_comes_back_from_a_file_as_it_was(graph: TaskConstellation, yaml: bool) -> None:
    again = parse_text(write_text(graph, yaml=yaml), yaml=yaml)
    assert list(again) == list(graph)
    assert [again[star] for star in again] == [graph[star] for star in graph]
    assert again.lines == graph.lines
    assert [(again.state(star), again.outcome(star)) for star in again] == [
        (graph.state(star), graph.outcome(star)) for star in graph
    ]
    assert (again.name, again.description, again.tools) == (graph.name, graph.description, graph.tools)
    assert again.version == graph.version
    assert dump(again) == dump(graph)
    check_invariants(again)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(graph=constellations())
def test_the_text_of_a_graph_says_what_its_document_says(graph: TaskConstellation) -> None:
    assert json.loads(dump_text(graph)) == dump(graph)


def test_the_text_of_a_graph_keeps_what_is_no_unicode() -> None:
    graph = TaskConstellation("bad \ud800 name")
    graph.line(graph.star("a", "t", x="\udfff"), graph.star("b", "t"), when="output == '\"\\u00e9'")
    assert json.loads(dump_text(graph)) == dump(graph)


def test_text_of_several_lines_is_written_as_a_block() -> None:
    graph = TaskConstellation("g")
    graph.star("ask", Prompt("First do this.\nThen do that.\n"))
    assert "instruction: |\n" in write_text(graph)


def test_json_is_read_as_yaml_too() -> None:
    graph = TaskConstellation("g")
    graph.star("a", "t", size=1)
    assert dump(parse_text(write_text(graph, yaml=False), yaml=True)) == dump(graph)


def test_yaml_is_of_version_1_2_and_holds_only_what_json_can_say() -> None:
    arguments = """\
      a: yes
      b: 2024-01-01
      c: [0x1F, 0o17, 017, 1_000, -2, 1e3, 1.5, ~, null, true, False, '3', =]
      d: !!str 3
      e: &x {y: 1}
      f: *x
      g: "\\U0001F600"
      h: << """
    graph = parse_text(f"name: n\nstars:\n  s:\n    work:\n     tool: t\n     arguments:\n{arguments}\n")
    assert graph["s"].work.arguments == {
        "a": "yes",
        "b": "2024-01-01",
        "c": [31, 15, 17, 1000, -2, 1000.0, 1.5, None, None, True, False, "3", "="],
        "d": "3",
        "e": {"y": 1},
        "f": {"y": 1},
        "g": "\U0001f600",
        "h": "<<",
    }


def test_an_anchor_may_be_given_twice_and_the_later_one_counts() -> None:
    graph = parse_text("name: &a x\ndescription: &a y\nstars: {s: {work: {tool: *a}}}\n")
    assert graph["s"].work == ToolCall("y")


# --- mistakes --------------------------------------------------------------------------------------------------------

AB = "name: x\nstars:\n  a: {work: {tool: t}}\n  b: {work: {tool: t}}\nlines:\n"
BAD_YAML = {
    "a colon in plain text": ("name: a: b\n", "1:8: malformed YAML: mapping values are not allowed here; put text"),
    "a tab": ("name: x\nstars:\n\ta: 1\n", "3:1: malformed YAML: while scanning"),
    "open quotes": ("name: 'x\n", "2:1: malformed YAML: while scanning a quoted scalar, found unexpected end of"),
    "an unknown alias": ("name: *x\n", "1:7: malformed YAML: found undefined alias 'x'; define it before with '&'"),
    "a key twice": ("name: x\nname: y\nstars: {}\n", "2:1: the key 'name' is there twice; remove one"),
    "a list": ("- 1\n", "1:1: a constellation is an object with the keys 'name', 'stars' and 'lines'"),
    "text": ("hello\n", "1:1: a constellation is an object"),
    "nothing": (" \n", "there is nothing in this file; a constellation needs at least 'name' and 'stars'"),
    "a comment only": ("# soon\n", "there is nothing in this file"),
    "two documents": ("a: 1\n---\nb: 2\n", "2:1: malformed YAML: expected a single document in the stream, but found"),
    "another YAML": ("%YAML 1.1\n---\na: 1\n", "1:1: files are YAML 1.2; remove the directive '%YAML 1.1'"),
    "a character of control": ("name: x\nstars: \x00\n", "2:8: the character '\\x00' can't stand in YAML"),
    "a bad escape": ('name: "\\ud83d"\n', "1:7: the text holds half of a character"),
    "an escape of no character": ('name: "\\UFFFFFFFF"\n', "malformed YAML: "),
    "too deep": ("[" * 300, "1:101: nested over 100 deep"),
    "an object of Python": ("name: !!python/name:os.system x\n", "1:7: the tag 'python/name:os.system' is not known"),
    "a set": ("name: !!set {a, b}\n", "1:7: the tag 'set' is not known here; write plain text, numbers, lists"),
    "a merge": ("a: &a {b: 1}\nc: {<<: *a}\n", "2:5: YAML 1.2 has no '<<'; write the fields out"),
    "an infinite number": ("name: .inf\n", "1:7: '.inf' is no number; put it in quotes if it is text"),
    "a tag that does not fit": ("name: !!int soon\n", "1:7: 'soon' is no number; put it in quotes if it is text"),
    "a number that is too long": (f"name: {'9' * 5000}\n", "1:7: '9999"),
    "a key that is a number": ("name: x\nstars:\n  1: {}\n", "3:3: keys are text; write '1' in quotes"),
    "a key that is a list": ("? [a]\n: 1\n", "1:3: keys are text"),
    "an alias in itself": ("a: &a [*a]\n", "1:4: the alias *a stands inside of what it stands for"),
    "an unknown field": (
        "name: x\nstars:\n  merge:\n    work:\n      tool: t\n      argument: {}\n",
        "6:7: stars.merge.work.argument: there is no such field; did you mean 'arguments'?",
    ),
    "an unknown field of the top": ("nmae: x\nstars: {}\n", "1:1: nmae: there is no such field; did you mean 'name'?"),
    "an unknown field of a star": (
        "name: x\nstars: {a: {work: {tool: t}, tmeout_s: 3}}\n",
        "2:30: stars.a.tmeout_s: there is no such field; did you mean 'timeout_s'?",
    ),
    "a field like no other": (
        "name: x\nstars: {a: {work: {tool: t, zzz: 3}}}\n",
        "2:29: stars.a.work.zzz: there is no such field; the fields here are tool, arguments, kind",
    ),
    "an unknown field of a retry": (
        "name: x\nstars: {a: {work: {tool: t}, retry: {max_attempt: 3}}}\n",
        "2:38: stars.a.retry.max_attempt: there is no such field; did you mean 'max_attempts'?",
    ),
    "an unknown field of a line": (
        AB + "- {source: a, target: b, triger: failure}\n",
        "6:26: lines[0].triger: there is no such field; did you mean 'trigger'?",
    ),
    "an unknown field of a record": (
        AB[:-7] + "records: {a: {stat: ready}}\n",
        "5:15: records.a.stat: there is no such field; did you mean 'state'?",
    ),
    "an unknown field of an outcome": (
        AB[:-7] + "records: {a: {state: failed, outcome: {x: 1}}}\n",
        "5:40: records.a.outcome.x: there is no such field; remove it",
    ),
    "a missing field": ("name: x\nstars:\n  a: {}\n", "3:3: stars.a.work: this field is needed"),
    "no name": ("stars: {}\n", "1:1: name: this field is needed"),
    "an id as a field": (
        "name: x\nstars:\n  a: {id: b, work: {tool: t}}\n",
        "3:7: stars.a.id: the id of a star is its key under 'stars'; remove this field",
    ),
    "an id that is none": ("name: x\nstars:\n  a b: {work: {tool: t}}\n", "3:3: stars.a b: 'a b' can't be a star's id"),
    "a work of no kind": (
        "name: x\nstars: {a: {work: {foo: 1}}}\n",
        "2:13: stars.a.work: a star's work needs one of: tool, instruction, question, constellation",
    ),
    "a work that is text": ("name: x\nstars: {a: {work: hello}}\n", "2:13: stars.a.work: a star's work needs one of"),
    "a field of a star called work": (
        "name: x\nstars: {work: {tool: 1}}\n",
        "2:16: stars.work.tool: there is no such field; the fields here are work, name",
    ),
    "a number for text": (
        "name: x\nstars: {a: {work: {tool: 3}}}\n",
        "2:20: stars.a.work.tool: this should be text, but this is 3",
    ),
    "text for a number": (
        "name: x\nstars: {a: {work: {tool: t}, timeout_s: soon}}\n",
        "2:30: stars.a.timeout_s: this should be a number, but this is 'soon'",
    ),
    "half a priority": (
        "name: x\nstars: {a: {work: {tool: t}, priority: 1.5}}\n",
        "2:30: stars.a.priority: this should be a whole number, but this is 1.5",
    ),
    "a list of stars": ("name: x\nstars: [1]\n", "2:1: stars: this should be a mapping, but this is a list"),
    "a star that is a number": (
        "name: x\nstars: {a: 3}\n",
        "2:9: stars.a: this should be a mapping of fields",
    ),
    "a mapping of lines": (
        "name: x\nstars: {}\nlines: {a: b}\n",
        "3:1: lines: this should be a list",
    ),
    "a truth as a requirement": (
        "name: x\nstars: {a: {work: {tool: t}, requires: {gpu: true}}}\n",
        "2:41: stars.a.requires.gpu: give text for a label or a number for a resource, not True",
    ),
    "a requirement below nothing": (
        "name: x\nstars: {a: {work: {tool: t}, requires: {gpu: -1}}}\n",
        "2:9: stars.a: star 'a': requires.gpu is -1, and can't be an amount",
    ),
    "no time at all": (
        "name: x\nstars: {a: {work: {tool: t}, timeout_s: 0}}\n",
        "2:9: stars.a: star 'a': timeout_s is 0.0, and has to be over 0; or leave it out",
    ),
    "no tries": (
        "name: x\nstars: {a: {work: {tool: t}, retry: {max_attempts: 0}}}\n",
        "2:30: stars.a.retry: retry.max_attempts is 0, and has to be at least 1",
    ),
    "an unknown trigger": (
        AB + "- {source: a, target: b, trigger: succes}\n",
        "6:26: lines[0].trigger: input should be 'success', 'failure', 'completion' or 'when', but this is 'succes'",
    ),
    "a condition that does not parse": (
        AB + "- {source: a, target: b, when: output. >}\n",
        "6:26: lines[0].when: the condition 'output. >' does not parse (line 1, character 9): no viable",
    ),
    "a trigger with a condition that does not fit": (
        AB + "- {source: a, target: b, trigger: failure, when: output}\n",
        "6:3: lines[0]: line 'a' → 'b': an expression goes with trigger 'when', not 'failure'",
    ),
    "a line to itself": (
        AB + "- {source: a, target: a}\n",
        "6:3: lines[0]: star 'a' can't wait for itself; remove this line",
    ),
    "a line twice": (
        AB + "- {source: a, target: b}\n- {source: a, target: b}\n",
        "7:3: lines[1]: there is a line 'a' → 'b' already; remove one",
    ),
    "an unknown star in a line": (
        AB.replace("a:", "merge:", 1) + "- {source: mrege, target: b}\n",
        "6:4: lines[0].source: there is no star 'mrege'; did you mean 'merge'?",
    ),
    "an unknown target": (
        AB + "- {source: a, target: q}\n",
        "6:15: lines[0].target: there is no star 'q'; add it to 'stars', or name one that is there",
    ),
    "a cycle": (
        AB + "- {source: a, target: b}\n- {source: b, target: a}\n",
        "7:3: lines[1]: this would close a cycle: a → b → a; remove one of these lines",
    ),
    "a reference to nobody": (
        "name: x\nstars:\n  merge: {work: {tool: t, arguments: {in: {$ref: 'mrge#/x'}}}}\n",
        "3:39: stars.merge.work.arguments.in: star 'merge': the reference at in names 'mrge', and there is no such "
        "star; did you mean 'merge'?",
    ),
    "a reference to itself": (
        "name: x\nstars:\n  a: {work: {tool: t, arguments: {in: {$ref: a}}}}\n",
        "3:35: stars.a.work.arguments.in: star 'a': the reference at in names the star itself",
    ),
    "a reference downstream": (
        "name: x\nstars:\n  a: {work: {tool: t, arguments: {p: [{$ref: b}]}}}\n  b: {work: {tool: t}}\n"
        "lines: [{source: a, target: b}]\n",
        "3:39: stars.a.work.arguments.p[0]: star 'a': the reference at p[0] names 'b', which is not upstream but "
        "downstream of it (a → b): that would close a cycle",
    ),
    "a reference along a failure": (
        AB.replace("tool: t}}", "tool: t, arguments: {q: {$ref: b}}}}", 1)
        + "- {source: b, target: a, trigger: failure}",
        "3:35: stars.a.work.arguments.q: star 'a': the reference at q needs the output of 'b', but the line",
    ),
    "a reference with company": (
        "name: x\nstars:\n  a: {work: {tool: t, arguments: {p: {$ref: b, c: 1}}}}\n",
        "3:35: stars.a.work.arguments.p: star 'a': the reference at p has other keys beside '$ref'; remove them",
    ),
    "a format of the future": (
        "format: constellation/9\nname: x\nstars: {}\n",
        "1:1: format: this file is of format version 9, and this release reads up to 1; upgrade constellation-agents",
    ),
    "no format": ("format: 3\nname: x\nstars: {}\n", "1:1: format: 3 is no format of ours; write 'constellation/1'"),
    "a mistake in a nested constellation": (
        "name: x\nstars:\n  a:\n    work:\n      constellation:\n        name: y\n        stars: {q: {wrk: {}}}\n",
        "7:21: stars.a.work.constellation.stars.q.wrk: there is no such field; did you mean 'work'?",
    ),
    "a record of nobody": (AB[:-7] + "records: {c: {state: ready}}\n", "5:11: records.c: there is no such star"),
    "an end without an outcome": (
        AB[:-7] + "records: {a: {state: succeeded}}\n",
        "5:11: records.a: a star that has succeeded needs an outcome",
    ),
    "an outcome before the end": (
        AB[:-7] + "records: {a: {state: pending, outcome: {output: 1}}}\n",
        "5:31: records.a.outcome: a star that is pending has no outcome yet; remove it",
    ),
    "a state before its time": (
        AB + "- {source: a, target: b}\nrecords: {b: {state: running}}\n",
        "7:11: records.b: a star can't be running when its lines are not met",
    ),
}


@pytest.mark.parametrize(("document", "expected"), BAD_YAML.values(), ids=BAD_YAML)
def test_a_mistake_in_yaml_is_told_with_its_place_and_its_fix(document: str, expected: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_text(document, name_hint="flow.yaml")
    separator = ":" if expected[0].isdigit() else ": "
    assert str(caught.value).startswith(f"flow.yaml{separator}{expected}")
    assert str(caught.value).isprintable()


BAD_JSON = {
    "a comma too many": ('{"a": 1,}', "1:9: malformed JSON: expecting property name enclosed in double quotes"),
    "a key twice": ('{"name": "x",\n\t"stars": {"a": 1, "a": 2}}', "2:20: the key 'a' is there twice; remove one"),
    "a key twice in the top": ('{"a": 1, "a": 2}', "1:10: the key 'a' is there twice; remove one"),
    "no number": ('{"a": NaN}', "'NaN' is no number; put it in quotes if it is text"),
    "too deep": ("[" * 100_000, "nested over 100 deep"),
    "an unknown field": (
        '{"name": "x",\n\t"stars": {"a": {"work": {"tool": "t", "argumnts": {}}}}}',
        "2:40: stars.a.work.argumnts: there is no such field; did you mean 'arguments'?",
    ),
    "what YAML says otherwise": (
        '{"name": "\\ud83d\\ude00", "nam": 3, "stars": {}}',
        "1:26: nam: there is no such field; did you mean 'name'?",
    ),
    "what YAML says otherwise, and a key twice": (
        '{"name": "\\ud83d\\ude00", "a": 3, "a": {}}',
        "the key 'a' is there twice",
    ),
    "a number without end": (
        '{"name": "x", "stars": {"a": {"work": {"tool": "t", "arguments": {"x": 1e999}}}}}',
        "1:67: stars.a.work.arguments.x: star 'a': the arguments hold inf at x; JSON has no such number",
    ),
}


@pytest.mark.parametrize(("document", "expected"), BAD_JSON.values(), ids=BAD_JSON)
def test_a_mistake_in_json_is_told_with_its_place_and_its_fix(document: str, expected: str) -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_text(document, name_hint="flow.json", yaml=False)
    assert expected in str(caught.value)
    assert str(caught.value).startswith("flow.json:")


def test_an_error_carries_its_parts() -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_text(AB + "- {source: a, target: b}\n- {source: b, target: a}\n", name_hint="f.yaml")
    error = caught.value
    assert (error.file, error.line, error.column, error.place) == ("f.yaml", 7, 3, "lines[1]")
    assert error.cycle == ("a", "b")
    assert isinstance(error.__cause__, CycleRejected)


def test_a_cycle_of_references_is_known_as_a_cycle() -> None:
    stars = {name: {"work": {"tool": "t", "arguments": {"x": {"$ref": other}}}} for name, other in ("ab", "ba")}
    with pytest.raises(InvalidDocument) as caught:
        load({"name": "x", "stars": stars})
    assert set(caught.value.cycle) == {"a", "b"}
    assert str(caught.value).startswith("stars.b.work.arguments.x: ")


def test_a_format_of_the_future_has_an_error_of_its_own() -> None:
    with pytest.raises(NewerFormat):
        parse_text("format: constellation/2\nname: x\nstars: {}\n")


def test_names_from_a_file_do_not_reach_the_terminal_raw() -> None:
    with pytest.raises(InvalidDocument) as caught:
        parse_text('name: x\nstars: {"\\e[31m": {work: {tool: t}}}\n')
    assert "\x1b" not in str(caught.value)


def test_aliases_do_not_blow_up() -> None:
    laughs = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        laughs.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]")
    with pytest.raises(InvalidDocument, match=f"the aliases of this file stand for over {MAX_ALIASED:,} values"):
        parse_text("\n".join(laughs))


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ""])
def test_a_file_is_read_whatever_it_is_called(tmp_path: Path, suffix: str) -> None:
    graph = TaskConstellation("g")
    graph.star("a", "t")
    file = tmp_path / f"flow{suffix}"
    file.write_text("\ufeff" + write_text(graph, yaml=suffix != ".json"), encoding="utf-8")
    assert dump(read_file(file)) == dump(graph)


def test_a_file_that_can_not_be_read_says_why(tmp_path: Path) -> None:
    binary, large = tmp_path / "b.yaml", tmp_path / "l.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    with large.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    for file, problem in {
        tmp_path / "none.yaml": "there is no such file",
        tmp_path: "this is a directory; name a YAML or JSON file in it",
        binary: "this is no text in UTF-8 (byte 7 is not); save it as UTF-8",
        large: "the file is over 16 MiB; split the constellation into nested ones",
        binary / "x": "the file can't be read: Not a directory",
        Path("a\0b"): "the file can't be read: embedded null byte",
    }.items():
        with pytest.raises(InvalidDocument) as caught:
            read_file(file)
        assert str(caught.value) == f"{file}: {problem}"


def test_tools_in_python_files_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    tools = ["./my_tools.py", "../other.py:scan", "sub/x.py", "package.module:attr", "/abs/t.py", "module"]
    file = tmp_path / "flow.json"
    file.write_text(json.dumps({"name": "x", "stars": {}, "tools": tools}))
    parent = os.path.dirname(tmp_path)
    assert read_file(file).tools == (
        f"{tmp_path}/my_tools.py",
        f"{parent}/other.py:scan",
        f"{tmp_path}/sub/x.py",
        "package.module:attr",
        "/abs/t.py",
        "module",
    )


def test_text_that_is_from_no_file_keeps_its_tools() -> None:
    assert parse_text("name: x\nstars: {}\ntools: [./t.py]\n").tools == ("./t.py",)


# --- documents -------------------------------------------------------------------------------------------------------


def test_only_an_object_is_a_document() -> None:
    for data in ([], "x", None, 3):
        with pytest.raises(InvalidDocument, match="a constellation is an object"):
            load(data)


def test_a_graph_that_was_loaded_takes_edits_made_against_it_but_not_older_ones() -> None:
    data: dict[str, Any] = {"name": "x", "version": 5, "stars": {"a": {"work": {"tool": "t"}}}}
    update = UpdateStar(TaskStar(StarId("a"), ToolCall("u")))
    assert load(data).apply(EditBatch((update,), base_version=5)).version == 6
    with pytest.raises(EditConflict):
        load(data).apply(EditBatch((update,), base_version=4))
    fresh = load({**data, "version": 0})
    fresh.apply(EditBatch((AddStar(TaskStar(StarId("b"), ToolCall("t"))),)))
    fresh.apply(EditBatch((RemoveStar(StarId("a")),), base_version=0))


def test_what_a_run_has_left_behind_a_review_moves_on_after_activation() -> None:
    graph = TaskConstellation("x")
    a = graph.star("a", "t")
    graph.star("b", "t", after=[a])
    graph.activate()
    graph.hold(a.id)
    graph.enter(a.id, StarState.RUNNING)
    graph.settle(a.id, StarState.SUCCEEDED, Outcome())
    again = load(dump(graph))
    assert again.state("b") is StarState.PENDING
    assert again.activate().ready == ["b"]


def test_an_output_that_is_no_number_is_written_as_null() -> None:
    graph = TaskConstellation("x")
    graph.star("a", "t")
    graph.activate()
    graph.enter(StarId("a"), StarState.RUNNING)
    graph.settle(StarId("a"), StarState.SUCCEEDED, Outcome(output=[float("nan")]))
    outcome = parse_text(write_text(graph, yaml=False), yaml=False).outcome("a")
    assert outcome is not None
    assert outcome.output == [None]
