"""What all dialects have in common: tools are declared one by one, offered together, and called.

A provider's file says its rules as data, and how its declarations, calls, results and stream events look. A tool that
a provider can't take is skipped and reported; it never fails the request.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

from ..errors import ToolSkipped
from .calls import JSON, CallPart, ToolCall, ToolResult, read_arguments
from .checking import count_optional, count_properties, count_unions, limits_exceeded
from .losses import LossKind, LossReport
from .reading import Inexpressible
from .rendering import render
from .restoring import restore
from .rules import RequestRules, Rules
from .streaming import CallStream


class Described(Protocol):
    """What is offered to a model: a `Tool`, or anything else with a name, a description and schemas."""

    @property
    def name(self) -> str:
        """What it is called by."""

    @property
    def description(self) -> str:
        """What it does."""

    @property
    def input_schema(self) -> Mapping[str, Any]:
        """Its arguments as JSON Schema."""

    @property
    def output_schema(self) -> Mapping[str, Any] | None:
        """Its result as JSON Schema, if that is known."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A tool as one provider is told of it.

    Attributes:
        tool: The tool's name.
        schema: Its arguments by the provider's rules; empty when it was refused.
        payload: What is sent; empty when it was refused.
        report: What was changed, and why it was refused.
        canonical: The tool's own schema.
        output: The schema of its result, if that is known.
    """

    tool: str
    schema: Mapping[str, Any]
    payload: Mapping[str, Any]
    report: LossReport
    canonical: Mapping[str, Any]
    output: Mapping[str, Any] | None

    def restored(self, arguments: Mapping[str, JSON]) -> dict[str, JSON]:
        """A call's arguments as the tool's own schema has them, also where models send null without being told to."""
        return restore(arguments, self.canonical)


class Dialect(ABC):
    """A provider's way of declaring tools, asking for calls, and taking results.

    Attributes:
        name: What it is called.
        rules: What the provider takes in plain mode.
        strict_rules: What it takes in strict mode; None where there is none.
        request_rules: What it takes in one request.
        late_results: Whether a tool can be declared so that its results may come later than at once.
    """

    name: ClassVar[str]
    rules: ClassVar[Rules]
    strict_rules: ClassVar[Rules | None] = None
    request_rules: ClassVar[RequestRules] = RequestRules()
    late_results: ClassVar[bool] = False

    def declare(self, tool: Described, *, strict: bool | None = None) -> Declared:
        """Say one tool in this dialect.

        Args:
            tool: The tool.
            strict: None for strict mode where it is lossless, True for strict or not at all, False for plain.
        """
        not_strict: str | None = None
        if strict is not False and self.strict_rules is not None:
            declared = self._declared(tool, self.strict_rules, strict=True)
            if declared.report.lossless or strict:
                return declared
            not_strict = declared.report.refused or _narrowing(declared.report)
        elif strict:
            return self._refused(tool, strict=True, reason="there is no strict mode")
        declared = self._declared(tool, self.rules, strict=False)
        return replace(declared, report=replace(declared.report, not_strict=not_strict))

    def offer(self, tools: Iterable[Described], *, strict: bool | None = None, late_results: bool = False) -> Offer:
        """Say several tools, within what one request may hold; those that don't fit are skipped with a warning.

        Args:
            tools: The tools.
            strict: As for `declare`.
            late_results: Whether background tools are declared so that their results may come later than at once,
                where the provider and the model know such. Acknowledgements of their calls are not sent then.

        Warns:
            ToolSkipped: once for each tool that is left out.
        """
        pairs: dict[str, tuple[Described, Declared]] = {}
        doubles: list[Declared] = []
        for tool in tools:
            if tool.name in pairs:
                doubles.append(self._refused(tool, strict=False, reason="another tool of the request has this name"))
            else:
                pairs[tool.name] = (tool, self.declare(tool, strict=strict))
        declared = [*self._within_limits(list(pairs.values()), strict), *doubles]
        for each in declared:
            if each.report.refused is not None:
                warnings.warn(ToolSkipped(f"{each.tool} is not offered: {each.report.refused}"), stacklevel=2)
        late = {name for name, (tool, _) in pairs.items() if late_results and getattr(tool, "background", False)}
        return Offer(self, declared, late if self.late_results else ())

    def read_call(self, id: str, name: str, arguments: Any, extra: Mapping[str, JSON] | None = None) -> ToolCall:
        """Make a call of what a provider says of it; arguments may be JSON text."""
        read, problem = read_arguments(arguments)
        return ToolCall(id, name, read, problem, extra or {})

    @abstractmethod
    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A tool's declaration around its schema."""

    @abstractmethod
    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """The fields of a request that declare tools."""

    @abstractmethod
    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """The calls in a provider's answer, or in the message of it that has them."""

    @abstractmethod
    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """Calls as messages of a conversation, as the provider's own answer would have them."""

    @abstractmethod
    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """Results as messages of a conversation."""

    def late_payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A declaration that says that results may come later, where there is such."""
        return dict(payload)

    def fitted(self, result: ToolResult, output: Mapping[str, Any] | None) -> ToolResult:
        """A result with what the provider asks of it because of the schema of results."""
        return result

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """The pieces of calls in one event of a stream; none where a provider does not stream."""
        return ()

    def _declared(self, tool: Described, rules: Rules, *, strict: bool) -> Declared:
        if not re.fullmatch(rules.tool_name, tool.name):
            return self._refused(tool, strict=strict, reason=f"its name does not fit {rules.tool_name}")
        try:
            schema, losses = render(tool.input_schema, rules)
        except Inexpressible as error:
            return self._refused(tool, strict=strict, reason=str(error))
        except RecursionError:
            return self._refused(tool, strict=strict, reason="its schema is nested too deeply")
        exceeded = limits_exceeded(schema, rules)
        if rules.required_needed and not schema.get("required"):
            exceeded.append("no argument is required")
        if exceeded:
            return self._refused(tool, strict=strict, reason="; ".join(exceeded))
        report = LossReport(tool.name, self.name, strict, losses)
        payload = self.payload(tool, schema, strict=strict)
        return Declared(tool.name, schema, payload, report, tool.input_schema, tool.output_schema)

    def _refused(self, tool: Described, *, strict: bool, reason: str) -> Declared:
        report = LossReport(tool.name, self.name, strict, refused=reason)
        return Declared(tool.name, {}, {}, report, tool.input_schema, None)

    def _within_limits(self, pairs: list[tuple[Described, Declared]], strict: bool | None) -> list[Declared]:
        """Fall back to plain mode, or leave tools out, where a request would hold too much."""
        rules = self.request_rules
        limits: tuple[tuple[str, int | None, Callable[[Mapping[str, Any]], int]], ...] = (
            ("strict tools", rules.max_strict_tools, lambda schema: 1),
            ("optional properties of strict tools", rules.max_strict_optional, count_optional),
            ("properties with alternatives of strict tools", rules.max_strict_unions, count_unions),
            ("properties of strict tools", rules.max_strict_properties, count_properties),
        )
        if rules.strict_together and strict is None:
            taken = [declared for _, declared in pairs if _taken(declared)]
            totals = [(limit, sum(count(each.schema) for each in taken)) for _, limit, count in limits]
            over_all = any(limit is not None and total > limit for limit, total in totals)
            if over_all or not all(each.report.strict for each in taken):
                reason = "strict mode is for all tools of a request, and not all of them can be strict together"
                return [_not_strict(self.declare(tool, strict=False), reason) for tool, _ in pairs]
        used = [0] * len(limits)
        kept: list[Declared] = []
        for tool, declared in pairs:
            if declared.report.strict and _taken(declared):
                after = [used[i] + count(declared.schema) for i, (_, _, count) in enumerate(limits)]
                over = [
                    f"more than {limit} {what}"
                    for (what, limit, _), total in zip(limits, after, strict=True)
                    if limit is not None and total > limit
                ]
                if not over:
                    used = after
                elif strict:
                    declared = self._refused(tool, strict=True, reason=over[0])
                else:
                    declared = _not_strict(self.declare(tool, strict=False), over[0])
            if rules.max_tools is not None and sum(map(_taken, kept)) >= rules.max_tools and _taken(declared):
                declared = self._refused(tool, strict=False, reason=f"more than {rules.max_tools} tools")
            kept.append(declared)
        return kept


class Offer:
    """Tools as they were offered to a provider, by which its calls are read.

    Attributes:
        dialect: The provider's.
        declared: The tools.
        late: Those whose results may come later than at once.
    """

    def __init__(self, dialect: Dialect, declared: Sequence[Declared], late: Iterable[str] = ()) -> None:
        """Hold tools together; `Dialect.offer` is the way to get here."""
        self.dialect = dialect
        self.late = frozenset(late)
        self.declared = tuple(declared)
        self._by_name = {each.tool: each for each in self.declared if _taken(each)}

    @property
    def reports(self) -> tuple[LossReport, ...]:
        """What became of each tool."""
        return tuple(each.report for each in self.declared)

    @property
    def skipped(self) -> Mapping[str, str]:
        """The tools that the provider can't take, with the reason."""
        return {each.tool: each.report.refused for each in self.declared if each.report.refused is not None}

    @property
    def request(self) -> dict[str, Any]:
        """The fields of a request that declare the tools; empty when there are none."""
        taken = list(self._by_name.values())
        strict = all(each.report.strict for each in taken)
        payloads = [
            self.dialect.late_payload(each.payload) if each.tool in self.late else each.payload for each in taken
        ]
        return self.dialect.request(payloads, strict=strict) if taken else {}

    def calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """The calls in an answer, with arguments as the tools' own schemas have them.

        A call of a tool that was not offered is returned as it came: whoever runs it says so to the model.
        """
        return [self._restored(call) for call in self.dialect.read_calls(answer)]

    def stream(self) -> CallStream:
        """Begin to read a streamed answer."""

        def make(id: str, name: str, arguments: Any, extra: Mapping[str, JSON]) -> ToolCall:
            return self._restored(self.dialect.read_call(id, name, arguments, extra))

        return CallStream(self.dialect.read_event, make)

    def results(self, results: Iterable[ToolResult]) -> list[dict[str, Any]]:
        """Results as messages of a conversation; those of calls that were made together belong together.

        Where results may come later, nothing is said of calls that still go on.
        """
        outputs = {name: declared.output for name, declared in self._by_name.items()}
        told = [each for each in results if not (each.pending and each.name in self.late)]
        return self.dialect.write_results([self.dialect.fitted(each, outputs.get(each.name)) for each in told])

    def _restored(self, call: ToolCall) -> ToolCall:
        declared = self._by_name.get(call.name)
        return call if declared is None else replace(call, arguments=declared.restored(call.arguments))


def _taken(declared: Declared) -> bool:
    return declared.report.refused is None


def _not_strict(declared: Declared, reason: str) -> Declared:
    return replace(declared, report=replace(declared.report, not_strict=reason))


def _narrowing(report: LossReport) -> str:
    return next(f"{loss.path}: {loss.detail}" for loss in report.losses if loss.kind is LossKind.NARROWED)
