"""The command line, `constellation`. What a command needs is imported when it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line, that of this process when None, and return the exit code."""
    try:
        _open_streams()
        from .dispatch import dispatch

        return dispatch(arguments)
    except KeyboardInterrupt:  # Ctrl-C while there was nothing yet that could be stopped in an orderly way
        return 130


def _open_streams() -> None:
    """Where this process was started with standard streams closed, open ones that lead nowhere.

    Else what is opened next, the journal for one, would get their descriptors and what is printed to them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - it is open as long as the process is
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
