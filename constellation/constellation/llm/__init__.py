"""Language models: one message, tool-call, usage and error model for every provider, and clients of them.

Importing this imports no provider's library; `open_model` and the first request do.
"""

from .cassettes import RecordingModel, ReplayModel
from .clients.chat import ChatModel
from .clients.settings import ClientSettings
from .conversation import Conversation, Turn, portable, without_reasoning
from .errors import (
    AccessDenied,
    CassetteError,
    ConnectionLost,
    ContextOverflow,
    InvalidOutput,
    InvalidRequest,
    InvalidToolArguments,
    LLMError,
    MalformedResponse,
    ModelMisconfigured,
    ModelTimeout,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServerFault,
)
from .hints.fields import Dialect, Field, HintMemory
from .hints.hint import Pause, WorkflowHint
from .hints.probe import ServerFacts
from .messages import File, Image, Message, Part, Reasoning, Text, ToolResult, ToolUse, assistant, system, user
from .model import (
    Delta,
    Model,
    ModelRequest,
    ModelResponse,
    ReasoningDelta,
    ResponseStream,
    TextDelta,
    ToolUseDelta,
)
from .opening import ModelAddress, open_model
from .output import OutputType, SchemaOutput
from .retry import Retries
from .tools import ToolSpec
from .usage import Prices, Usage

__all__ = [
    "AccessDenied",
    "CassetteError",
    "ChatModel",
    "ClientSettings",
    "ConnectionLost",
    "ContextOverflow",
    "Conversation",
    "Delta",
    "Dialect",
    "Field",
    "File",
    "HintMemory",
    "Image",
    "InvalidOutput",
    "InvalidRequest",
    "InvalidToolArguments",
    "LLMError",
    "MalformedResponse",
    "Message",
    "Model",
    "ModelAddress",
    "ModelMisconfigured",
    "ModelRequest",
    "ModelResponse",
    "ModelTimeout",
    "OutputType",
    "Part",
    "Pause",
    "Prices",
    "ProviderError",
    "QuotaExhausted",
    "RateLimited",
    "Reasoning",
    "ReasoningDelta",
    "RecordingModel",
    "ReplayModel",
    "RequestRefused",
    "ResponseStream",
    "Retries",
    "SchemaOutput",
    "ServerFacts",
    "ServerFault",
    "Text",
    "TextDelta",
    "ToolResult",
    "ToolSpec",
    "ToolUse",
    "ToolUseDelta",
    "Turn",
    "Usage",
    "WorkflowHint",
    "assistant",
    "open_model",
    "portable",
    "system",
    "user",
    "without_reasoning",
]
