"""Errors of the command line, and how every error that a user can cause is told: what to do, and no traceback.

CommandError
├── BadInput      an option, or what it names, makes no sense
└── RunBroken     something other than a star went wrong after a run had begun

Exit codes: 0 done; 1 the run failed, or broke off; 2 the command could not begin; 130 and 143 stopped by Ctrl-C and
by SIGTERM; 141 the reader of the output went away.
"""

from __future__ import annotations

from collections.abc import Iterator

RUN_FAILED = 1
BAD_INPUT = 2
OUTPUT_CLOSED = 141

MESSAGE_LIMIT = 4000
"""The most characters of each line of an error that are shown."""


class CommandError(Exception):
    """Base of all errors of this package."""


class BadInput(CommandError):
    """Raised when an option, or what it names, makes no sense; the message says what to give instead."""


class RunBroken(CommandError):
    """Raised when a run that had begun can't be followed or carried on; says how to take it up again."""


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that an error stands for: those in a group, else itself."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from leaves(member)
    else:
        yield error


def is_users(error: BaseException) -> bool:
    """Whether an error tells a user what to do, so that a traceback adds nothing; anything else is a bug of ours."""
    from constellation_protocol import ProtocolError
    from constellation_tools import ToolsError

    from ..graph import GraphError
    from ..journal import JournalError
    from ..llm.errors import LLMError
    from ..orchestrator.errors import ConstellationError
    from ..planner.errors import PlannerError
    from ..scheduling.errors import InvariantBroken, SchedulingError

    if isinstance(error, InvariantBroken):
        return False
    kinds = (CommandError, ConstellationError, SchedulingError, GraphError, JournalError, ProtocolError, ToolsError)
    return isinstance(error, (*kinds, LLMError, PlannerError, OSError))


def told(error: BaseException) -> list[str]:
    """An error in lines that are safe to print, without a lead."""
    from ..console.sanitise import visible_lines

    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return visible_lines(f"{place}{error.strerror}", limit=MESSAGE_LIMIT)
    return visible_lines(str(error) or type(error).__name__, limit=MESSAGE_LIMIT)


def exit_code(error: BaseException) -> int:
    """What a command that ended with this error returns."""
    return RUN_FAILED if isinstance(error, RunBroken) else BAD_INPUT
