"""How patient a client is, and where its time and chance come from."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from ..retry import Retries


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How patient a client is.

    Attributes:
        retries: How often and how patiently a request is tried again.
        answer_s: How long to wait for an answer or, when it is streamed, for its first piece, in seconds; per try.
        pause_s: How long a stream may pause between two pieces, in seconds.
        sleep: Waits before another try.
        unit: Draws a number from [0, 1), for jitter.
    """

    retries: Retries = field(default_factory=Retries)
    answer_s: float = 600.0
    pause_s: float = 120.0
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    unit: Callable[[], float] = random.random
