"""Tools of Constellation: typed Python functions that models and other machines can call with JSON arguments."""

from .artifact import Artifact
from .context import ToolContext
from .errors import (
    ArgumentProblem,
    ArtifactUnavailable,
    Confined,
    InvalidArguments,
    InvalidOutput,
    ToolCancelled,
    ToolDefinitionError,
    ToolFailed,
    ToolLoadError,
    ToolsError,
    ToolSkipped,
    ToolTimeout,
    UnknownTool,
    UnresolvedAnnotation,
)
from .loading import load_tool, load_tools, tools_of
from .tool import Tool, tool
from .toolset import Toolset

__all__ = [
    "ArgumentProblem",
    "Artifact",
    "ArtifactUnavailable",
    "Confined",
    "InvalidArguments",
    "InvalidOutput",
    "Tool",
    "ToolCancelled",
    "ToolContext",
    "ToolDefinitionError",
    "ToolFailed",
    "ToolLoadError",
    "ToolSkipped",
    "ToolTimeout",
    "ToolsError",
    "Toolset",
    "UnknownTool",
    "UnresolvedAnnotation",
    "load_tool",
    "load_tools",
    "tool",
    "tools_of",
]
