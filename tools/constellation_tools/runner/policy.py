"""What may be called: allow, ask or deny by tool, arguments, device and effect. The first fitting rule decides.

Patterns are those of shells (`*`, `?`, `[abc]`), case matters, and `*` goes across slashes. A pattern for an argument
is compared with text as it is, and with the JSON text of all else. Rules see arguments as the tool would get them:
converted, with defaults. They are no confinement: `/srv/*` fits `/srv/../etc/passwd`; what must not be touched is the
tool's own business.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from pydantic import ConfigDict

from ..effects import WORST, Effect, Effects
from .documents import read

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]")


class Verdict(StrEnum):
    """What becomes of a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of calls that fit all of its patterns.

    Attributes:
        verdict: Allow, ask or deny.
        tool: Pattern for the tool's name.
        arguments: Patterns by place, such as `path`, `options.mode`, `argv[0]` or `argv[*]`. To allow, a pattern has to
            fit every value that is there, and there has to be one; to ask or deny, one that fits is enough.
        device: Pattern for the name of the device that the call would run on.
        effect: What the tool has to be able to do, such as `destructive`; a tool that says nothing of that does all.
        reason: Why, for whoever reads a refusal or a request for approval.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    verdict: Verdict
    tool: str = "*"
    arguments: Mapping[str, str] = field(default_factory=dict, hash=False)
    device: str = "*"
    effect: Effect | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError: the place of an argument can't be read."""
        for place in self.arguments:
            _steps(place)

    def fits(self, tool: str, arguments: Mapping[str, Any], device: str = "", effects: Effects = WORST) -> bool:
        """Whether a call is one that this rule speaks of."""
        if self.effect is not None and self.effect not in effects.all:
            return False
        if not (fnmatchcase(tool, self.tool) and fnmatchcase(device, self.device)):
            return False
        some_or_all = all if self.verdict is Verdict.ALLOW else any
        for place, pattern in self.arguments.items():
            values = list(_values(arguments, _steps(place)))
            if not values or not some_or_all(fnmatchcase(_text(value), pattern) for value in values):
                return False
        return True

    def __str__(self) -> str:
        parts = [f"{self.verdict} {self.tool}"]
        if self.effect is not None:
            parts.append(f"that is {self.effect}")
        parts += [f"where {place} is {pattern}" for place, pattern in self.arguments.items()]
        if self.device != "*":
            parts.append(f"on {self.device}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy says of one call.

    Attributes:
        verdict: Allow, ask or deny.
        explanation: Why, as a sentence.
    """

    verdict: Verdict
    explanation: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in order, and what becomes of calls that none of them fits.

    Attributes:
        rules: The first that fits decides.
        default: The verdict where none fits. A tool that requires approval is asked for in place of being allowed.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    rules: Sequence[Rule] = ()
    default: Verdict = Verdict.ALLOW

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, Any]) -> Policy:
        """Read a policy, such as `{"default": "ask", "rules": [{"verdict": "allow", "tool": "files_read"}]}`.

        Raises:
            InvalidDocument: it is none; the message says where.
        """
        return read(cls, document, "policy")

    def decide(
        self,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        device: str = "",
        requires_approval: bool = False,
        effects: Effects = WORST,
    ) -> Decision:
        """Say what becomes of a call.

        Args:
            tool: The tool's name.
            arguments: As the tool would get them, as JSON types.
            device: The name of the device that it would run on.
            requires_approval: Whether the tool itself wants to be asked for.
            effects: What the tool does to the world.
        """
        on = f" on {device}" if device else ""
        for number, rule in enumerate(self.rules, 1):
            if rule.fits(tool, arguments, device, effects):
                reason = f": {rule.reason}" if rule.reason else ""
                return Decision(rule.verdict, f"rule {number} ({rule}) applies to this call of {tool}{on}{reason}")
        if requires_approval and self.default is Verdict.ALLOW:
            return Decision(Verdict.ASK, f"{tool} asks before each call")
        return Decision(self.default, f"no rule speaks of this call of {tool}{on}, and the rest is: {self.default}")


def effective(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with the defaults that a tool's schema gives for those that were left out."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    defaults = {name: each["default"] for name, each in properties.items() if "default" in each}
    return {**defaults, **arguments}


@cache
def _steps(place: str) -> tuple[str | int | None, ...]:
    """The steps of a place: a name, an index, or None for every index."""
    steps: list[str | int | None] = []
    position = 0
    while position < len(place):
        found = _STEP.match(place, position)
        if found is None:
            raise ValueError(f"{place!r} is no place of an argument; write it like options.mode or argv[0]")
        name, index = found.groups()
        steps.append(name if name is not None else None if index == "*" else int(index))
        position = found.end()
    if not steps:
        raise ValueError("the place of an argument is empty; write it like options.mode or argv[0]")
    return tuple(steps)


def _values(value: Any, steps: tuple[str | int | None, ...]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if isinstance(value, Mapping) and step in value:
            yield from _values(value[step], rest)
    elif isinstance(value, list):
        for item in value if step is None else value[step : step + 1]:
            yield from _values(item, rest)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
