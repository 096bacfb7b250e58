"""Connected devices as a planner is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from constellation_protocol.messages import DeviceProfile

from ..graph import Prompt, TaskStar
from ..planner import DeviceFacts, Surroundings, ToolFacts
from .admission import check_stars


def survey(profiles: Mapping[str, DeviceProfile]) -> Surroundings:
    """What there is to plan with."""
    devices = []
    tools: dict[str, ToolFacts] = {}
    for name, profile in sorted(profiles.items()):
        offered = {tool.name: tool for tool in profile.tools}
        devices.append(
            DeviceFacts(
                name,
                os=profile.os,
                slots=profile.slots,
                labels=profile.labels,
                resources=profile.resources,
                prompts=Prompt.tool in offered,
            )
        )
        for tool in offered.values():
            known = tools.get(tool.name)
            if tool.name == Prompt.tool:
                continue
            if known is None:
                tools[tool.name] = ToolFacts(tool.name, tool.description, tool.input_schema, (name,))
            else:
                tools[tool.name] = ToolFacts(known.name, known.description, known.input_schema, (*known.devices, name))

    def check(stars: Sequence[TaskStar]) -> list[str]:
        return [str(problem) for problem in check_stars(stars, profiles)]

    return Surroundings(tuple(devices), tuple(tools[name] for name in sorted(tools)), check)
