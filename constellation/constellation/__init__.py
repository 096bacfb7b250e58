"""Constellation: one request, run as a mutable DAG of tasks across many machines.

What is here is the public surface of the SDK. Importing it is cheap: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from constellation_protocol.kinds import A2AAgent, DeviceSpec, ModelAgent

    from .graph import (
        Approval,
        EditBatch,
        EditBuilder,
        EditConflict,
        EditRejected,
        GraphError,
        InvalidDocument,
        Nested,
        Outcome,
        Output,
        Prompt,
        RetryPolicy,
        StarHandle,
        StarState,
        TaskConstellation,
        TaskStar,
        TaskStarLine,
        ToolCall,
        Trigger,
    )
    from .graph.files import read_file, write_text
    from .journal import JournalError, RunSummary, open_journal
    from .orchestrator.asking import Answer, Asking, AskOptions
    from .orchestrator.devices import DeviceInfo
    from .orchestrator.errors import AdmissionRefused, ConstellationError, Problem, RunFailed
    from .orchestrator.events import Event
    from .orchestrator.limits import HubLimits
    from .orchestrator.orchestrator import Orchestrator
    from .orchestrator.planning import Planner, Review
    from .orchestrator.report import RunReport, StarRow
    from .orchestrator.run import Run
    from .orchestrator.state_dump import RunDump
    from .planner import (
        Budget,
        BudgetUsedUp,
        Capabilities,
        ConstellationAgent,
        EditPolicy,
        PlanFailed,
        PlannerError,
    )
    from .scheduling import DeviceLoad, PlacementPolicy, RunOptions, SchedulingError

_HOMES = {
    "constellation_protocol.kinds": ("A2AAgent", "DeviceSpec", "ModelAgent"),
    "constellation.graph": (
        "Approval",
        "EditBatch",
        "EditBuilder",
        "EditConflict",
        "EditRejected",
        "GraphError",
        "InvalidDocument",
        "Nested",
        "Outcome",
        "Output",
        "Prompt",
        "RetryPolicy",
        "StarHandle",
        "StarState",
        "TaskConstellation",
        "TaskStar",
        "TaskStarLine",
        "ToolCall",
        "Trigger",
    ),
    "constellation.graph.files": ("read_file", "write_text"),
    "constellation.journal": ("JournalError", "RunSummary", "open_journal"),
    "constellation.orchestrator.asking": ("Answer", "AskOptions", "Asking"),
    "constellation.orchestrator.devices": ("DeviceInfo",),
    "constellation.orchestrator.errors": ("AdmissionRefused", "ConstellationError", "Problem", "RunFailed"),
    "constellation.orchestrator.events": ("Event",),
    "constellation.orchestrator.limits": ("HubLimits",),
    "constellation.orchestrator.orchestrator": ("Orchestrator",),
    "constellation.orchestrator.planning": ("Planner", "Review"),
    "constellation.orchestrator.report": ("RunReport", "StarRow"),
    "constellation.orchestrator.run": ("Run",),
    "constellation.orchestrator.state_dump": ("RunDump",),
    "constellation.planner": (
        "Budget",
        "BudgetUsedUp",
        "Capabilities",
        "ConstellationAgent",
        "EditPolicy",
        "PlanFailed",
        "PlannerError",
    ),
    "constellation.scheduling": ("DeviceLoad", "PlacementPolicy", "RunOptions", "SchedulingError"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "A2AAgent",
    "AdmissionRefused",
    "Answer",
    "Approval",
    "AskOptions",
    "Asking",
    "Budget",
    "BudgetUsedUp",
    "Capabilities",
    "ConstellationAgent",
    "ConstellationError",
    "DeviceInfo",
    "DeviceLoad",
    "DeviceSpec",
    "EditBatch",
    "EditBuilder",
    "EditConflict",
    "EditPolicy",
    "EditRejected",
    "Event",
    "GraphError",
    "HubLimits",
    "InvalidDocument",
    "JournalError",
    "ModelAgent",
    "Nested",
    "Orchestrator",
    "Outcome",
    "Output",
    "PlacementPolicy",
    "PlanFailed",
    "Planner",
    "PlannerError",
    "Problem",
    "Prompt",
    "RetryPolicy",
    "Review",
    "Run",
    "RunDump",
    "RunFailed",
    "RunOptions",
    "RunReport",
    "RunSummary",
    "SchedulingError",
    "StarHandle",
    "StarRow",
    "StarState",
    "TaskConstellation",
    "TaskStar",
    "TaskStarLine",
    "ToolCall",
    "Trigger",
    "open_journal",
    "read_file",
    "write_text",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
