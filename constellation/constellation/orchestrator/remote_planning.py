"""Planning for a hub from a client of it: its devices, the results of a run, and what only a planner says to a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from pydantic import TypeAdapter

from constellation_protocol.messages import DeviceProfile

from ..graph import StarId, TaskConstellation
from ..graph.documents import dump
from ..scheduling import RunId, RunOptions
from .control_messages import understood
from .errors import ConstellationError
from .gathering import ReviewBatch
from .run import Run, Verdict

if TYPE_CHECKING:
    from ..planner import EditPolicy, Remark
    from .report import RunReport
    from .requests import AskedRun

_PROFILES: TypeAdapter[dict[str, DeviceProfile]] = TypeAdapter(dict[str, DeviceProfile])


class Caller(Protocol):
    """Makes requests of a hub."""

    async def call(self, call: str, arguments: Mapping[str, Any]) -> Any:
        """Make a request, and return its answer."""

    async def ask_until_known(self, call: str, arguments: Mapping[str, Any]) -> Any:
        """Make a request again for as long as its answer is null."""

    def run(self, value: Mapping[str, Any]) -> Run:
        """The run that an answer names."""

    async def show(self, run: str) -> tuple[TaskConstellation, RunReport]:
        """The graph with its states, and the report, of any run in the hub's journal."""


class RemotePlace:
    """A hub; implements `Place`."""

    def __init__(self, hub: Caller) -> None:
        self._hub = hub

    async def profiles(self) -> Mapping[str, DeviceProfile]:
        """See `Place.profiles`."""
        return understood(_PROFILES.validate_python, await self._hub.call("profiles", {}))

    async def submit_for_review(
        self,
        graph: TaskConstellation,
        policy: EditPolicy,
        *,
        run: RunId,
        options: RunOptions,
        info: Mapping[str, Any],
        remarks: Sequence[Remark],
    ) -> tuple[Run, RemoteReviews]:
        """See `Place.submit_for_review`."""
        arguments = {
            "graph": dump(graph),
            "options": asdict(options),
            "info": dict(info),
            "run": run,
            "policy": _policy(policy),
            "remarks": list(map(_remark, remarks)),
        }
        return self._hub.run(await self._hub.call("submit_for_review", arguments)), RemoteReviews(self._hub, run)

    async def asked(self, run: str) -> AskedRun:
        """See `Place.asked`."""
        from .requests import ASKED_RUN

        return understood(ASKED_RUN.validate_python, await self._hub.call("asked", {"run": run}))

    async def resume_for_review(
        self, run: str, policy: EditPolicy, *, rerun_unknown: bool
    ) -> tuple[Run, RemoteReviews]:
        """See `Place.resume_for_review`."""
        arguments = {"run": run, "policy": _policy(policy), "rerun_unknown": rerun_unknown}
        going_on = self._hub.run(await self._hub.call("resume_for_review", arguments))
        return going_on, RemoteReviews(self._hub, going_on.id)

    async def show(self, run: str) -> tuple[TaskConstellation, RunReport]:
        """See `Place.show`."""
        return await self._hub.show(run)

    async def keep_answer(self, run: str, answer: str) -> None:
        """See `Place.keep_answer`."""
        await self._hub.call("keep_answer", {"run": run, "answer": answer})


class RemoteReviews:
    """The results of a run at a hub; implements `Reviews`."""

    def __init__(self, hub: Caller, run: str) -> None:
        self._hub = hub
        self._run = run

    async def next(self) -> ReviewBatch | None:
        """See `Reviews.next`."""
        value = await self._hub.ask_until_known("reviews", {"run": self._run})
        return understood(_review_batch, value) if value else None

    async def done(self, number: int) -> None:
        """See `Reviews.done`."""
        await self._hub.call("reviewed", {"run": self._run, "number": number})

    async def close(self) -> None:
        """See `Reviews.close`."""
        try:
            await self._hub.call("stop_reviewing", {"run": self._run})
        except ConstellationError:
            return  # without us the hub lets go of what we hold by itself


async def propose(hub: Caller, run: str, question: str, arguments: Mapping[str, Any], *, timeout_s: float) -> Verdict:
    """See `Run.propose`."""
    named = {
        "run": run,
        "proposal": await hub.call("propose", {"run": run, "question": question, "shown": dict(arguments)}),
    }
    value: Mapping[str, Any] | None = None
    try:
        with anyio.move_on_after(timeout_s):
            value = await hub.ask_until_known("verdict", named)
    finally:
        if value is None:
            with anyio.move_on_after(5.0, shield=True):
                await hub.call("withdraw", {**named, "reason": f"nobody answered within {timeout_s:g} s"})
    return understood(_verdict, value) if value else Verdict(False, "nobody has answered")


async def note(hub: Caller, run: str, remark: Remark) -> None:
    """See `Run.note`."""
    await hub.call("note", {"run": run, "remark": _remark(remark)})


def _review_batch(value: Mapping[str, Any]) -> ReviewBatch:
    return ReviewBatch(int(value["number"]), tuple(map(StarId, value["stars"])))


def _verdict(value: Mapping[str, Any]) -> Verdict:
    return Verdict(bool(value["approved"]), str(value["comment"]))


def _remark(remark: Remark) -> Mapping[str, Any]:
    spent = {**asdict(remark.spent), "usd": None if remark.spent.usd is None else str(remark.spent.usd)}
    return {"kind": remark.kind, "text": remark.text, "stars": list(remark.stars), "spent": spent}


def _policy(policy: EditPolicy) -> Mapping[str, Any]:
    return {"when": policy.when, "stars": sorted(policy.stars), "gather_s": policy.gather_s}
