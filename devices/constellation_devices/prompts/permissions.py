"""What a device's model may call: what the device's owner says, and else everything but running programs."""

from __future__ import annotations

from collections.abc import Iterable

from constellation_protocol.kinds import ModelAgent
from constellation_tools.runner import Answer, Approval, Policy, Rule, Verdict

PROGRAMS = ("shell_run", "python_run")
"""Tools by which a model that was talked into it could do anything that the device's user can."""


def policy_of(agent: ModelAgent) -> Policy:
    """The policy: what is denied counts first, then what is to be asked for, then what is allowed."""
    rules = [
        *_rules(Verdict.DENY, agent.deny, "the device's owner does not allow it"),
        *_rules(Verdict.ASK, agent.ask, "the device's owner wants to be asked"),
        *_rules(Verdict.ALLOW, agent.allow, ""),
        *_rules(Verdict.ASK, PROGRAMS, "it runs programs"),
    ]
    return Policy(tuple(rules))


async def nobody_to_ask(approval: Approval) -> Answer:
    """Refuse what would have to be approved: there is no way yet from a running prompt to a person."""
    reason = (
        f"it needs approval ({approval.reason}), and nobody can be asked while a prompt runs; "
        f"the device's owner can allow it beforehand, with --allow-tool {approval.tool}"
    )
    return Answer(approval.id, approval.digest, granted=False, reason=reason)


def _rules(verdict: Verdict, patterns: Iterable[str], reason: str) -> list[Rule]:
    return [Rule(verdict, pattern, reason=reason) for pattern in patterns]
