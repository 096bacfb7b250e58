"""Tools of Constellation: typed Python functions that models and other machines can call with JSON arguments."""

from .artifact import Artifact
from .context import ToolContext
from .effects import Effect, Effects
from .errors import (
    ApprovalMismatch,
    ApprovalsPending,
    ArgumentProblem,
    ArtifactUnavailable,
    CallRefused,
    Confined,
    InvalidArguments,
    InvalidDocument,
    InvalidOutput,
    ToolCancelled,
    ToolDefinitionError,
    ToolFailed,
    ToolLoadError,
    ToolsError,
    ToolSkipped,
    ToolTimeout,
    ToolUnavailable,
    UnknownHandle,
    UnknownTool,
    UnresolvedAnnotation,
)
from .loading import load_tool, load_tools, tools_of
from .options import ToolOptions
from .retry import Retry
from .tool import Tool, tool
from .toolset import Toolset

__all__ = [
    "ApprovalMismatch",
    "ApprovalsPending",
    "ArgumentProblem",
    "Artifact",
    "ArtifactUnavailable",
    "CallRefused",
    "Confined",
    "Effect",
    "Effects",
    "InvalidArguments",
    "InvalidDocument",
    "InvalidOutput",
    "Retry",
    "Tool",
    "ToolCancelled",
    "ToolContext",
    "ToolDefinitionError",
    "ToolFailed",
    "ToolLoadError",
    "ToolOptions",
    "ToolSkipped",
    "ToolTimeout",
    "ToolUnavailable",
    "ToolsError",
    "Toolset",
    "UnknownHandle",
    "UnknownTool",
    "UnresolvedAnnotation",
    "load_tool",
    "load_tools",
    "tool",
    "tools_of",
]
