"""Runs whose client goes away while it submits them: nobody knows of them, so they do not go on."""

from __future__ import annotations

import anyio
import anyio.lowlevel

from ..scheduling import SchedulingError
from .errors import ConstellationError
from .run import Run


async def withdraw_if_unseen(run: Run) -> None:
    """Cancel a run that has just been submitted, if whoever submits it was cancelled meanwhile."""
    try:
        await anyio.lowlevel.checkpoint_if_cancelled()
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            await _cancel(run)
        raise


async def _cancel(run: Run) -> None:
    try:
        await run.cancel(reason="the client went away while it submitted the run")
    except (SchedulingError, ConstellationError):
        return  # the hub is being closed, or the run has ended
