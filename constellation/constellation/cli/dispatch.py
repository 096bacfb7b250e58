"""From a command line to an exit code: errors that a user can cause become lines, whatever command they come from."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from ..console.output import OutputClosed
from ..console.sanitise import visible_lines
from .app import make_app
from .errors import OUTPUT_CLOSED, exit_code, is_users, leaves, told

DEBUG_VARIABLE = "CONSTELLATION_DEBUG"


def dispatch(arguments: Sequence[str] | None) -> int:
    """Carry out a command line and return the exit code; errors that are no user's doing pass through."""
    settings: dict[str, Any] = {"debug": os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")}
    # What can't be written in the terminal's encoding is written in escapes: a name must not end a run.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        given = None if arguments is None else list(arguments)
        result = make_app().main(args=given, prog_name="constellation", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except typer.TyperException as error:
        _complain([*visible_lines(error.format_message()), "see `constellation --help`"])
        return error.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        return _report(error, debug=settings["debug"])
    return result if isinstance(result, int) else 0


def _report(error: Exception, *, debug: bool) -> int:
    causes = list(leaves(error))
    if all(isinstance(cause, (OutputClosed, BrokenPipeError)) for cause in causes):
        _discard_output()
        return OUTPUT_CLOSED
    if not all(is_users(cause) for cause in causes):
        raise error
    if debug:
        traceback.print_exception(error)
    for cause in dict.fromkeys("\n".join(told(cause)) for cause in causes):
        _complain(cause.split("\n"))
    return min(exit_code(cause) for cause in causes)  # a run that had begun outweighs what went wrong beside it


def _complain(lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        sys.stderr.write(line + "\n" if number else f"error: {line}\n")


def _discard_output() -> None:
    """Keep the interpreter from flushing into a closed pipe, and complaining, when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
