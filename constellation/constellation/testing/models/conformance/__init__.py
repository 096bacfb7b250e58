"""What every client of language models has to do, as tests that whoever writes one runs against it. Needs pytest.

Make a subclass of `ModelConformance` and give it the fixture `open_model`, which returns a function that opens a model
of yours at a base URL, as patient as it is told. The tests use nothing but `constellation.llm.Model`, a real server on
loopback, and events; what they wait for in time is time limits alone.
"""

from .base import KEY, OpenModel
from .cancelling import CancellingChecks
from .errors import ErrorChecks
from .media import MediaChecks
from .output import OutputChecks
from .retrying import RetryingChecks
from .streaming import StreamingChecks
from .text import TextChecks
from .tools import ToolChecks
from .usage import UsageChecks

__all__ = ["KEY", "ModelConformance", "OpenModel"]


class ModelConformance(
    TextChecks,
    StreamingChecks,
    ToolChecks,
    OutputChecks,
    UsageChecks,
    MediaChecks,
    ErrorChecks,
    RetryingChecks,
    CancellingChecks,
):
    """What every client of language models has to do."""
