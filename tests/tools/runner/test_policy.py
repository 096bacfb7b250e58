"""What may be called: rules in order, by tool, arguments and device, over what the tool would really get."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_tools import InvalidDocument, tool
from constellation_tools.runner import Policy, Rule, ToolRunner, Verdict

from .conftest import call

ALLOW, ASK, DENY = Verdict.ALLOW, Verdict.ASK, Verdict.DENY


@pytest.mark.parametrize(
    ("rule", "arguments", "fits"),
    [
        (Rule(DENY, "files_*"), {}, True),
        (Rule(DENY, "http_*"), {}, False),
        (Rule(DENY, arguments={"path": "/etc/*"}), {"path": "/etc/x/y"}, True),
        (Rule(DENY, arguments={"path": "/etc/*"}), {"path": "/ETC/x"}, False),
        (Rule(DENY, arguments={"path": "/etc/*"}), {}, False),
        (Rule(DENY, arguments={"path": "/etc/*", "mode": "w"}), {"path": "/etc/x", "mode": "r"}, False),
        (Rule(DENY, arguments={"options.force": "true"}), {"options": {"force": True}}, True),
        (Rule(DENY, arguments={"options.force": "true"}), {"options": "force"}, False),
        (Rule(DENY, arguments={"argv[0]": "rm"}), {"argv": ["rm", "x"]}, True),
        (Rule(DENY, arguments={"argv[2]": "*"}), {"argv": ["rm", "x"]}, False),
        (Rule(DENY, arguments={"argv[*]": "-rf"}), {"argv": ["rm", "-rf"]}, True),
        (Rule(ALLOW, arguments={"hosts[*]": "*.org"}), {"hosts": ["a.org", "b.org"]}, True),
        (Rule(ALLOW, arguments={"hosts[*]": "*.org"}), {"hosts": ["a.org", "b.com"]}, False),
        (Rule(ALLOW, arguments={"hosts[*]": "*.org"}), {"hosts": []}, False),
        (Rule(ALLOW, arguments={"items[*].n": "1"}), {"items": [{"n": 1}]}, True),
    ],
)
def test_a_rule_fits_by_tool_and_arguments(rule: Rule, arguments: dict[str, Any], fits: bool) -> None:
    assert rule.fits("files_write", arguments) is fits


def test_the_first_rule_that_fits_decides_and_is_named() -> None:
    policy = Policy(
        [
            Rule(ALLOW, "files_read"),
            Rule(DENY, "files_*", {"path": "/etc/*"}, device="laptop", reason="system files are left alone"),
        ],
        default=ASK,
    )
    assert policy.decide("files_read", {"path": "/etc/x"}, device="laptop").verdict is ALLOW
    denied = policy.decide("files_write", {"path": "/etc/x"}, device="laptop")
    assert denied.verdict is DENY
    assert denied.explanation == (
        "rule 2 (deny files_* where path is /etc/* on laptop) applies to this call of files_write on laptop: "
        "system files are left alone"
    )
    asked = policy.decide("files_write", {"path": "/etc/x"}, device="server")
    assert asked.verdict is ASK
    assert asked.explanation == "no rule speaks of this call of files_write on server, and the rest is: ask"


def test_a_tool_that_requires_approval_is_asked_for_unless_a_rule_or_the_default_says_otherwise() -> None:
    assert Policy().decide("x", {}, requires_approval=True).verdict is ASK
    assert Policy([Rule(ALLOW, "x")]).decide("x", {}, requires_approval=True).verdict is ALLOW
    assert Policy(default=DENY).decide("x", {}, requires_approval=True).verdict is DENY


def test_a_policy_is_read_from_json_and_mistakes_are_named() -> None:
    policy = Policy.from_json(
        '{"default": "deny", "rules": [{"verdict": "allow", "tool": "a*", "arguments": {"x": "1"}}]}'
    )
    assert policy.decide("ab", {"x": 1}).verdict is ALLOW
    assert policy.decide("ab", {"x": 2}).verdict is DENY
    for document, message in [
        ("{", "this is no policy: the document: Invalid JSON"),
        ('{"rules": [{"verdict": "maybe"}]}', "rules.0.verdict: Input should be 'allow', 'ask' or 'deny'"),
        ('{"rule": []}', "rule: Unexpected keyword argument"),
        ('{"rules": [{"verdict": "deny", "tol": "x"}]}', "rules.0.tol: Unexpected keyword argument"),
        ('{"rules": [{"verdict": "deny", "arguments": {"a[": "x"}}]}', "'a[' is no place of an argument"),
        ('{"rules": [{"verdict": "deny", "arguments": {"": "x"}}]}', "the place of an argument is empty"),
    ]:
        with pytest.raises(InvalidDocument) as caught:
            Policy.from_json(document)
        assert message in str(caught.value)


@given(st.lists(st.sampled_from("ab"), min_size=1), st.sampled_from("ab"))
def test_what_is_allowed_by_every_item_is_denied_by_none_other(items: list[str], pattern: str) -> None:
    allowed = Rule(ALLOW, arguments={"x[*]": pattern}).fits("t", {"x": items})
    assert allowed == (not Rule(DENY, arguments={"x[*]": f"[!{pattern}]"}).fits("t", {"x": items}))


@tool
def write(path: Path, mode: Literal["new", "over"] = "over", lines: list[str] | None = None) -> str:
    """Write a file."""
    return mode


@pytest.mark.anyio
async def test_rules_see_what_the_tool_would_get_and_a_denial_explains_itself() -> None:
    policy = Policy(
        [
            Rule(DENY, arguments={"mode": "over"}, reason="nothing is overwritten"),
            Rule(DENY, arguments={"lines[*]": "secret"}),
        ]
    )
    async with ToolRunner([write], policy=policy, device="desk") as runner:
        batch = await runner.run(
            [
                call("default", "write", path="x"),
                call("text", "write", path="x", mode="new", lines='["secret"]'),
                call("fine", "write", path="x", mode="new"),
            ]
        )
    default, text, fine = batch.results
    assert default.value == (
        "write is not allowed here: rule 1 (deny * where mode is over) applies to this call of write on desk: "
        "nothing is overwritten"
    )
    assert text.is_error
    assert fine.value == "new"
    assert runner.usage["write"].refused == 2
