"""What each dialect makes of a hint is what is written down, to the byte; and nothing of it is another dialect's.

To write the golden requests anew: `CONSTELLATION_WRITE_GOLDEN=1 pytest tests/llm/test_dialects.py`, and look at the
difference.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from constellation.llm import ModelMisconfigured, Pause, WorkflowHint
from constellation.llm.hints.dialects import (
    DIALECT_NAMES,
    LLMD,
    Anthropic,
    Bedrock,
    Continuum,
    Dynamo,
    Gemini,
    OpenAI,
    SGLang,
    dialect_named,
)
from constellation.llm.hints.fields import Dialect, HintMemory, header, named_in
from constellation.llm.wire.requests import build

from .samples import HINT, REQUEST

GOLDEN = Path(__file__).with_name("golden")

CASES: dict[str, Dialect] = {
    **{name: dialect_named(name) for name in DIALECT_NAMES},
    "sglang-low-first": SGLang(low_first=True),
    "llm-d-objectives": LLMD(objectives=((-10, "batch"), (1, "interactive"), (9, "urgent"))),
    "openai-tiers": OpenAI(tiers=True),
    "bedrock-tiers": Bedrock(tiers=True),
}


def written(dialect: Dialect, hint: WorkflowHint) -> dict[str, object]:
    """The whole request."""
    call = build(REQUEST, model="m", provider="compatible", fields=dialect.fields(hint))
    return {"body": {**call.body, **call.extra_body}, "headers": dict(call.headers)}


@pytest.mark.parametrize("last", [False, True], ids=["step", "last"])
@pytest.mark.parametrize("case", CASES)
def test_the_request_is_the_golden_one(case: str, last: bool) -> None:
    file = GOLDEN / f"{case}{'.last' if last else ''}.json"
    made = json.dumps(written(CASES[case], replace(HINT, last_step=last)), indent=1, sort_keys=True) + "\n"
    if os.environ.get("CONSTELLATION_WRITE_GOLDEN"):
        file.write_text(made, encoding="utf-8")
    assert made == file.read_text(encoding="utf-8")


def test_there_is_a_golden_request_of_every_dialect_and_no_other() -> None:
    assert {file.name.partition(".")[0] for file in GOLDEN.iterdir()} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_a_dialect_that_knows_nothing_more_than_the_session_sends_nothing_more(case: str) -> None:
    bare = WorkflowHint(workflow="w", session="s")
    fields = CASES[case].fields(bare)
    assert {str(each.value) for each in fields} <= {
        "s",
        "w",
        "False",
        "batch",
        str({"type": "ephemeral"}),
    }


def test_priority_points_the_way_that_each_server_has_it() -> None:
    sent = {name: {each.path[-1]: each.value for each in dialect.fields(HINT)} for name, dialect in CASES.items()}
    assert sent["vllm"]["priority"] == -5  # lower is sooner there
    assert sent["dynamo"]["priority"] == 5
    assert (sent["sglang"]["priority"], sent["sglang-low-first"]["priority"]) == (5, -5)


def test_dynamo_is_sent_nothing_at_the_top_of_the_body_but_its_own_extension() -> None:
    fields = Dynamo().fields(replace(HINT, last_step=True))
    assert {each.path[0] for each in fields if each.place == "body"} == {"nvext"}


def test_continuums_arguments_are_scalars_in_the_plugin() -> None:
    fields = Continuum(plugin=True).fields(HINT)
    assert {each.path[0] for each in fields} == {"vllm_xargs"}
    assert all(isinstance(each.value, (str, int, float, bool)) for each in fields)


@pytest.mark.parametrize(
    ("pause_s", "ttl"), [(10.0, None), (300.0, None), (301.0, "1h"), (3_600.0, "1h"), (90_000.0, "1h")]
)
def test_a_longer_pause_buys_a_longer_cache_at_anthropic(pause_s: float, ttl: str | None) -> None:
    (mark,) = Anthropic().fields(WorkflowHint("w", "s", pause=Pause(pause_s, pause_s)))
    assert mark.value.get("ttl") == ttl


def test_gemini_caches_for_as_long_as_it_is_worth_and_not_after_the_last_step() -> None:
    (mark,) = Gemini().fields(WorkflowHint("w", "s", ttl_s=90.4))
    assert mark.value["ttl"] == "90s"
    assert Gemini().fields(WorkflowHint("w", "s", ttl_s=90.0, last_step=True)) == ()
    assert Gemini().fields(WorkflowHint("w", "s")) == ()


def test_a_name_of_a_run_can_not_end_a_header() -> None:
    assert header("x", "run\r\nx-admin: yes\u2028é").value == "run__x-admin:_yes__"
    assert len(header("x", "y" * 10_000).value) == 256


def test_an_unknown_dialect_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ModelMisconfigured, match="no dialect 'tgi'; there are none, plain, vllm"):
        dialect_named("tgi")


def test_a_pause_is_not_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        Pause(-1.0, 2.0)


def test_a_complaint_names_the_field_or_what_stands_above_it() -> None:
    fields = Dynamo().fields(HINT)
    assert named_in("unknown field `osl`, expected one of ...", fields) == {"body:nvext.agent_hints.osl"}
    above = {"body:nvext.agent_hints.priority", "body:nvext.agent_hints.osl"}
    assert named_in("Unsupported parameter: NVEXT", fields) == above
    assert named_in("the tool's name is wrong", fields) == frozenset()
    assert named_in("bad header X-Dynamo-Session-Id", fields) == {"header:x-dynamo-session-id"}


def test_what_was_refused_is_remembered_and_nothing_else() -> None:
    memory = HintMemory()
    fields = Dynamo().fields(HINT)
    assert memory.accepted(fields) == fields
    assert memory.learn("unknown field `osl`", fields) == {"body:nvext.agent_hints.osl"}
    assert [each.key for each in fields if each not in memory.accepted(fields)] == ["body:nvext.agent_hints.osl"]
    assert memory.refused == {"body:nvext.agent_hints.osl"}
    assert memory.learn("something else is wrong", fields) == frozenset()


def test_marks_are_at_most_as_many_as_anthropic_takes() -> None:
    text = json.dumps(written(Anthropic(), HINT))
    assert 1 <= text.count("cache_control") <= 4
