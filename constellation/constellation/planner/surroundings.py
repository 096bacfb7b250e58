"""What a planner is told of the connected devices, and how what it makes is held against them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..graph import TaskStar
from .fencing import Fence, tokens_in

_TOOL_TOKENS = 600
"""How much is told of one tool."""

_DEVICE_TOKENS = 120
"""How much is told of one device."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device as a planner sees it.

    Attributes:
        name: Its id.
        os: Its operating system.
        slots: How many stars it runs at once.
        labels: What stars can require by equality.
        resources: What stars can reserve.
        prompts: Whether it has an LLM agent, which carries instructions out.
    """

    name: str
    os: str = ""
    slots: int = 1
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    resources: Mapping[str, float] = field(default_factory=dict, hash=False)
    prompts: bool = False


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """A tool as a planner sees it.

    Attributes:
        name: What it is called by.
        description: What its device says that it does.
        input_schema: Its arguments, JSON Schema.
        devices: Who offers it.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any] = field(hash=False)
    devices: tuple[str, ...]


Check = Callable[[Sequence[TaskStar]], Sequence[str]]
"""What keeps the connected devices from carrying stars out, in words; empty when nothing does."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The devices that a plan is made for.

    Attributes:
        devices: All of them, by name.
        tools: What they offer, by name.
        check: Holds stars against them.
    """

    devices: tuple[DeviceFacts, ...]
    tools: tuple[ToolFacts, ...]
    check: Check

    @property
    def device_names(self) -> tuple[str, ...]:
        """The names of the devices."""
        return tuple(device.name for device in self.devices)

    def tool(self, name: str) -> ToolFacts | None:
        """The tool of a name; None when nobody offers it."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def unknown_tool(self, name: str, fence: Fence) -> str:
        """What to say of a tool that nobody offers."""
        names = [tool.name for tool in self.tools]
        return f"there is no tool {fence.name(name)}{_hint(name, names, fence)}; the tools are {fence.names(names)}"

    def device_problem(self, device: str, tool: str | None, fence: Fence) -> str | None:
        """What is wrong with a device for a tool, or for an instruction (None); None when nothing is."""
        names = self.device_names
        if device not in names:
            hint = _hint(device, names, fence)
            return f"there is no device {fence.name(device)}{hint}; the devices are {fence.names(names)}"
        if tool is None:
            able = [known.name for known in self.devices if known.prompts]
        else:
            known_tool = self.tool(tool)
            able = list(known_tool.devices) if known_tool else []
        if device in able:
            return None
        what = "an LLM agent" if tool is None else f"the tool {fence.name(tool)}"
        return f"device {fence.name(device)} does not have {what}; these do: {fence.names(able)}"

    def described(self, fence: Fence, *, tokens: int) -> str:
        """The devices and tools as text; schemas are left out where they would take too much."""
        devices = [self._device_line(device, fence) for device in self.devices]
        tools = [self._tool_line(tool, fence, schema=True) for tool in self.tools]
        if tokens_in("\n".join(tools)) > tokens:
            tools = [self._tool_line(tool, fence, schema=False) for tool in self.tools]
        prompts = [device.name for device in self.devices if device.prompts]
        said = [
            _block("devices", _within(devices, tokens)),
            _block("tools", _within(tools, tokens)),
            f"Devices with an LLM agent, which can be given an instruction: {fence.names(prompts)}.",
        ]
        return "\n".join(said)

    def _device_line(self, device: DeviceFacts, fence: Fence) -> str:
        facts = {
            "device": device.name,
            **({"os": device.os} if device.os else {}),
            "slots": device.slots,
            **({"labels": dict(device.labels)} if device.labels else {}),
            **({"resources": dict(device.resources)} if device.resources else {}),
        }
        return fence.text(facts, tokens=_DEVICE_TOKENS)

    def _tool_line(self, tool: ToolFacts, fence: Fence, *, schema: bool) -> str:
        where: Any = "all" if len(tool.devices) == len(self.devices) else list(tool.devices)
        facts = {"tool": tool.name, "on": where, "says": tool.description[:400], "arguments": signature(tool)}
        if schema:
            facts["schema"] = _plain(tool.input_schema)
        return fence.text(facts, tokens=_TOOL_TOKENS)


def signature(tool: ToolFacts) -> str:
    """The names of a tool's arguments; those that may be left out are in brackets."""
    properties, required = tool.input_schema.get("properties"), tool.input_schema.get("required")
    needed = set(required) if isinstance(required, list) else set()
    names = properties if isinstance(properties, dict) else {}
    return ", ".join(name if name in needed else f"[{name}]" for name in names) or "none"


def _plain(schema: Mapping[str, Any]) -> Any:
    """A schema without what only repeats names."""
    return json.loads(json.dumps(schema), object_hook=_untitled)


def _untitled(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key != "title" or not isinstance(value, str)}


def _block(source: str, lines: Sequence[str]) -> str:
    return "\n".join((f'<data from="{source}">', *lines, "</data>"))


def _within(lines: Sequence[str], tokens: int) -> list[str]:
    """As many lines as fit, and how many do not."""
    kept: list[str] = []
    used = 0
    for line in lines:
        used += tokens_in(line) + 1
        if used > tokens:
            return [*kept, f"… and {len(lines) - len(kept)} more"]
        kept.append(line)
    return kept


def _hint(name: str, known: Sequence[str], fence: Fence) -> str:
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {fence.name(close[0])}?" if close else ""
