"""A fake device: what a device agent is without tools, processes and files, with behaviours that a test chooses.

It keeps to the rules of the real agent: an attempt that was begun is never begun again, results are kept until they are
acknowledged, and its record of attempts survives its death, unless it is told to forget it. Whoever hosts it decides
when things happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal

from constellation_protocol.messages import (
    Accept,
    Assign,
    Cancel,
    DeviceProfile,
    Drain,
    ErrorInfo,
    Hello,
    Message,
    ProfileUpdate,
    Reject,
    Result,
    ToolInfo,
)

from ..scheduling.attempt_rules import OUTCOME_UNKNOWN
from ..scheduling.events import parse_attempt
from .faults import Behaviour

USUAL_TOOLS: Mapping[str, bool] = {"pure": True, "effect": False}
"""The tools of a device that is not told otherwise: `pure` may be repeated, `effect` may not."""


class FakeDevice:
    """One device.

    Attributes:
        id: Its name.
        running: What it works on, by attempt.
        kept: Results that the orchestrator has not acknowledged, by attempt.
        begun: Every attempt that it remembers to have begun.
        memory: The name of its record of attempts.
        effects: How often the work of each attempt was done to its end, whoever heard of it.
        draining: It takes nothing new.
    """

    def __init__(
        self,
        id: str,
        *,
        slots: int = 1,
        labels: Mapping[str, str] | None = None,
        resources: Mapping[str, float] | None = None,
        tools: Mapping[str, bool] = USUAL_TOOLS,
        script: Mapping[str, Sequence[Behaviour]] | None = None,
        work: Callable[[str, Mapping[str, Any]], Any] | None = None,
        takes_s: float | tuple[float, float] = (0.05, 1.5),
    ) -> None:
        """Make a device.

        Args:
            id: Its name.
            slots: How many attempts it runs at once.
            labels: What stars' labels are matched with.
            resources: What stars reserve.
            tools: Its tools, each with whether it may be called twice.
            script: What it does with the first, second, … attempt at a star that it is given, by the star's id; after
                that, and with other stars, the world's faults decide.
            work: What a tool returns for its arguments; `{"n": <0 to 3>}` by chance when None.
            takes_s: How long work takes, in seconds, or between which bounds.
        """
        self.id = id
        self.profile = DeviceProfile(
            slots=slots,
            labels=dict(labels) if labels is not None else {"os": "linux", "name": id},
            resources=dict(resources) if resources is not None else {"gpu": 1.0},
            tools=tuple(ToolInfo(name=name, idempotent=repeatable) for name, repeatable in tools.items()),
        )
        self.running: dict[str, Assign] = {}
        self.kept: dict[str, Result] = {}
        self.begun: set[str] = set()
        self.effects: Counter[str] = Counter()
        self.memory = f"{id}-0"
        self.draining = False
        self._lives = 0
        self._epoch = 0
        self._session_of: dict[str, int] = {}
        self._script = {star: list(behaviours) for star, behaviours in (script or {}).items()}
        self._work = work
        self._takes_s = takes_s if isinstance(takes_s, tuple) else (takes_s, takes_s)

    def hello(self) -> Hello:
        """Open a session: what it is, what it runs, and which results it owes."""
        return Hello(
            device=self.id,
            profile=self.profile,
            memory=self.memory,
            running=tuple(self.running),
            finished=tuple(self.kept),
        )

    def change(self, *, slots: int) -> ProfileUpdate:
        """Offer another number of slots from now on; what runs goes on running."""
        self.profile = self.profile.model_copy(update={"slots": slots})
        return ProfileUpdate(profile=self.profile)

    def joined(self, epoch: int) -> list[Message]:
        """Begin a session: what is to be said first."""
        self._epoch = epoch
        said: list[Message] = [Drain(reason="going")] if self.draining else []
        return [*said, *(self._for_now(result) for result in self.kept.values())]

    def _for_now(self, result: Result) -> Result:
        return replace(result, epoch=self._epoch)

    # --- work --------------------------------------------------------------------------------------------------------

    def take(self, assign: Assign, behaviour: Callable[[], Behaviour]) -> tuple[list[Message], Behaviour | None]:
        """Answer an assignment: what to say, and how it is to go on, None for an attempt that was answered before.

        Args:
            assign: The assignment.
            behaviour: Decides what to do where the script does not.
        """
        attempt = assign.attempt
        if attempt in self.running:
            if self._session_of[attempt] != self._epoch:
                self._session_of[attempt] = self._epoch
                return [Accept(attempt=attempt, epoch=self._epoch)], None
            return [self._reject(attempt, "duplicate", "it is running here already")], None
        if attempt in self.kept:
            return [self._for_now(self.kept[attempt])], None
        if attempt in self.begun:
            return [self._reject(attempt, "duplicate", "it ran here, and its result was taken")], None
        if self.draining:
            return [self._reject(attempt, "draining", "the device takes no new work")], None
        if len(self.running) >= self.profile.slots:
            return [self._reject(attempt, "no-slot", f"all {self.profile.slots} slots are busy")], None
        planned = self._script.get(assign.star)
        chosen = planned.pop(0) if planned else behaviour()
        if chosen is Behaviour.REJECTS:
            return [self._reject(attempt, "invalid-arguments", "not today")], chosen
        if chosen is Behaviour.IGNORES:
            return [], chosen
        self.running[attempt] = assign
        self.begun.add(attempt)
        self._session_of[attempt] = self._epoch
        if chosen is Behaviour.SUCCEEDS_AT_ONCE:
            return [], chosen
        return [Accept(attempt=attempt, epoch=self._epoch)], chosen

    def _reject(
        self, attempt: str, code: Literal["no-slot", "draining", "invalid-arguments", "duplicate"], message: str
    ) -> Reject:
        return Reject(attempt=attempt, epoch=self._epoch, code=code, message=message)

    def takes_s(self, rng: Random) -> float:
        """How long the next piece of work takes, in seconds."""
        return rng.uniform(*self._takes_s)

    def succeed(self, attempt: str, rng: Random, *, duration_s: float = 0.0) -> Result | None:
        """Do the work of an attempt to its end; None when it was stopped before."""
        assign = self.running.get(attempt)
        if assign is None:
            return None
        self.effects[attempt] += 1
        output = {"n": rng.randrange(4)} if self._work is None else self._work(assign.work.tool, assign.work.arguments)
        return self._end(Result(attempt=attempt, epoch=0, status="succeeded", output=output, duration_s=duration_s))

    def fail(self, attempt: str, type: str, message: str) -> Result | None:
        """End an attempt with an error, without its effect; None when it was stopped before."""
        if attempt not in self.running:
            return None
        error = ErrorInfo(type=type, message=message)
        return self._end(Result(attempt=attempt, epoch=0, status="failed", error=error))

    def cancel(self, cancel: Cancel) -> Result | None:
        """Stop an attempt; None when there is nothing to stop."""
        if cancel.attempt not in self.running:
            return None
        return self._end(Result(attempt=cancel.attempt, epoch=0, status="cancelled"))

    def _end(self, result: Result) -> Result:
        self.running.pop(result.attempt, None)
        self.kept[result.attempt] = result
        return self._for_now(result)

    def acknowledged(self, results: Sequence[Result]) -> None:
        """The orchestrator has these results: they need not be sent again."""
        for result in results:
            self.kept.pop(result.attempt, None)

    # --- misfortune --------------------------------------------------------------------------------------------------

    def die(self, rng: Random, *, forget: bool) -> None:
        """End in the middle of work, which may have had its effect; come back with the record of it, or without."""
        for attempt in list(self.running):
            if rng.random() < 0.5:
                self.effects[attempt] += 1
            self.fail(attempt, OUTCOME_UNKNOWN, "the device died in the middle of it")
        self.draining = False
        if forget:
            self._lives += 1
            self.memory = f"{self.id}-{self._lives}"
            self.kept.clear()
            self.begun.clear()

    def lies(self, truth: Result, others: Sequence[FakeDevice], rng: Random) -> list[Result]:
        """Things that are not true, about an attempt that has ended; outputs are `LIE` where they were made up."""
        run, star = parse_attempt(truth.attempt) or ("", "")
        lie = replace(truth, status="succeeded", output=LIE, error=None)
        theirs = sorted(attempt for other in others if other is not self for attempt in other.running)
        made_up = [
            replace(lie, epoch=self._epoch - 1),
            replace(lie, epoch=self._epoch + 1),
            replace(lie, attempt=f"{run}/{star}/99"),
            replace(lie, attempt="no-such-run/s0/1"),
            replace(lie, attempt=rng.choice(theirs) if theirs else "nonsense"),
            lie,  # after the true one, in the same session: a second result
        ]
        return rng.sample(made_up, rng.randint(1, 3))


LIE = "a lie"
"""The output of a result that a lying device made up."""
