"""Devices as a workflow's author imagines them: with this machine's tools, and whatever its stars require."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from constellation_protocol.messages import DeviceProfile, ToolInfo

from ..graph import Nested, Prompt, TaskConstellation, TaskStar
from ..graph.documents import load

HERE = "this machine"


def imagine_devices(graph: TaskConstellation, tools: Sequence[str] = ()) -> Mapping[str, DeviceProfile]:
    """Profiles that can serve every star of a graph, if only its tools and arguments are right.

    Args:
        graph: The graph; the tools that it names are imported.
        tools: References to further tools.

    Raises:
        ToolsError: a reference leads to no tool.
    """
    offered = tuple(_infos([*graph.tools, *tools]))
    profiles = {HERE: DeviceProfile(tools=offered)}
    for star in _stars(graph):
        if star.device is None and not star.requires:
            continue
        name = star.device or f"a device for {star.id}"
        known = profiles.get(name, profiles[HERE])
        labels = {key: value for key, value in star.requires.items() if isinstance(value, str)}
        amounts = {key: value for key, value in star.requires.items() if not isinstance(value, str)}
        # Two stars may be pinned to one device: it has the more of each resource, and the first label stands.
        resources = dict(known.resources)
        for key, amount in amounts.items():
            resources[key] = max(amount, resources.get(key, 0.0))
        update = {"labels": {**labels, **known.labels}, "resources": resources}
        profiles[name] = known.model_copy(update=update)
    return profiles


def _stars(graph: TaskConstellation) -> Iterator[TaskStar]:
    for star in graph:
        spec = graph[star]
        yield spec
        if isinstance(spec.work, Nested):
            yield from _stars(load(spec.work.constellation))


def _infos(references: Sequence[str]) -> Iterator[ToolInfo]:
    from constellation_tools import Toolset, load_tools
    from constellation_tools.toolkits import builtin_tools

    # The built-in tools are only described here; what they may touch does not matter.
    found: Toolset = builtin_tools(Path(tempfile.gettempdir()))
    for reference in references:
        found += load_tools(reference)
    for tool in found:
        yield ToolInfo(
            name=tool.name,
            description=tool.description,
            input_schema=tool.input_schema,
            output_schema=tool.output_schema,
            idempotent=tool.idempotent,
        )
    # Whether a device has an LLM agent is, like its labels, a matter of the devices of the day.
    yield ToolInfo(name=Prompt.tool)
