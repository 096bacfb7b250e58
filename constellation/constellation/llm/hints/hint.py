"""The hint: what is known of the workflow that a request is a step of, in no server's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """How long a session is expected to be away, in seconds, from the end of this answer to its next request.

    Attributes:
        mean_s: On average.
        p95_s: In 95 of 100 cases at most.
    """

    mean_s: float
    p95_s: float

    def __post_init__(self) -> None:
        """Raises ValueError: a time is negative."""
        if self.mean_s < 0 or self.p95_s < 0:
            raise ValueError("a pause can't be negative")


@dataclass(frozen=True, slots=True)
class WorkflowHint:
    """What is known of the workflow that a request is a step of.

    Attributes:
        workflow: The run that it belongs to.
        session: The conversation: requests of one session share a growing prefix.
        parent_session: The session that this one came out of; None for one of its own.
        tenant: On whose behalf, for fairness; None where there is one only.
        step: Which request of the session it is, from 0.
        remaining_steps: How many are expected to follow; None where nobody knows.
        last_tool: The tool whose result comes with this request; None for none.
        next_tool: The tool that is expected to be called next; None where nobody knows.
        pause: How long the session is expected to be away afterwards; None where nobody knows.
        ttl_s: How long what is cached of it is worth keeping, in seconds; None leaves it to the pause.
        priority: Higher is more important; 0 is usual.
        deadline_s: In how many seconds the answer is needed; None for no deadline.
        output_tokens: How long the answer is expected to be; None where nobody knows.
        last_step: Whether nothing of the session comes after it.
    """

    workflow: str
    session: str
    parent_session: str | None = None
    tenant: str | None = None
    step: int = 0
    remaining_steps: float | None = None
    last_tool: str | None = None
    next_tool: str | None = None
    pause: Pause | None = None
    ttl_s: float | None = None
    priority: int = 0
    deadline_s: float | None = None
    output_tokens: int | None = None
    last_step: bool = False

    @property
    def keep_s(self) -> float | None:
        """How long what is cached is worth keeping, in seconds; 0 after the last step, None where nobody knows."""
        if self.last_step:
            return 0.0
        if self.ttl_s is not None:
            return self.ttl_s
        return None if self.pause is None else self.pause.p95_s
