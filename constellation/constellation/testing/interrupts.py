"""Interrupts from the terminal, which reach all processes there, and are for the one that began the others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold interrupts of this thread back; they are delivered at the end.

    Processes that begin meanwhile hold them back for good. Once they run they could ignore them by themselves, but one
    that comes sooner would end them in the middle of their imports, each with a traceback.
    """
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # on Windows
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)
