"""The command line, `constellation`. What a command needs is imported when it is used."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line, that of this process when None, and return the exit code."""
    try:
        from .dispatch import dispatch

        return dispatch(arguments)
    except KeyboardInterrupt:  # Ctrl-C while there was nothing yet that could be stopped in an orderly way
        return 130
