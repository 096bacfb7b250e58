"""The mutable DAG: stars, lines, edit batches, an incremental order, states, documents, analysis and drawing."""

from .applied import Applied, Changes
from .authoring import EditBuilder, StarHandle
from .constellation import TaskConstellation, stars_by_state
from .edits import (
    AddLine,
    AddStar,
    EditBatch,
    Operation,
    RemoveLine,
    RemoveStar,
    UpdateLine,
    UpdateStar,
)
from .errors import (
    ConditionError,
    CycleRejected,
    EditConflict,
    EditRejected,
    GraphError,
    IllegalTransition,
    InvalidDocument,
    InvalidLine,
    InvalidStar,
    NewerFormat,
    ReferenceFault,
    UnknownStar,
)
from .line import TaskStarLine, Trigger
from .references import Output, Reference
from .star import RetryPolicy, StarId, TaskStar
from .states import IN_FLIGHT, OPEN, SETTLED, Outcome, StarError, StarState
from .work import Approval, Nested, Prompt, ToolCall, Work

__all__ = [
    "IN_FLIGHT",
    "OPEN",
    "SETTLED",
    "AddLine",
    "AddStar",
    "Applied",
    "Approval",
    "Changes",
    "ConditionError",
    "CycleRejected",
    "EditBatch",
    "EditBuilder",
    "EditConflict",
    "EditRejected",
    "GraphError",
    "IllegalTransition",
    "InvalidDocument",
    "InvalidLine",
    "InvalidStar",
    "Nested",
    "NewerFormat",
    "Operation",
    "Outcome",
    "Output",
    "Prompt",
    "Reference",
    "ReferenceFault",
    "RemoveLine",
    "RemoveStar",
    "RetryPolicy",
    "StarError",
    "StarHandle",
    "StarId",
    "StarState",
    "TaskConstellation",
    "TaskStar",
    "TaskStarLine",
    "ToolCall",
    "Trigger",
    "UnknownStar",
    "UpdateLine",
    "UpdateStar",
    "Work",
    "stars_by_state",
]
