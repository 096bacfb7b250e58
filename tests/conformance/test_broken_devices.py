"""Devices that break one rule each: the kit's check of that rule fails, and says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from constellation_protocol import Transport
from constellation_protocol.codec import decode

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Messages = list[dict[str, Any]]
Change = Callable[[dict[str, Any]], None]

PATIENCE_S = 1.5


class Tampered:
    """A transport whose text frames are changed, on their way out and on their way in; implements `Transport`."""

    def __init__(self, transport: Transport, out: Change, into: Change) -> None:
        self._transport = transport
        self._out = out
        self._into = into

    async def send(self, frame: str | bytes) -> None:
        changed = _changed(frame, self._out)
        if changed is not None:
            await self._transport.send(changed)

    async def receive(self) -> str | bytes:
        while True:
            changed = _changed(await self._transport.receive(), self._into)
            if changed is not None:
                return changed

    async def aclose(self) -> None:
        await self._transport.aclose()

    def abort(self) -> None:
        self._transport.abort()


def _changed(frame: str | bytes, change: Change) -> str | bytes | None:
    """The frame as it goes on; None for one that `change` has taken all messages out of."""
    if isinstance(frame, bytes):
        return frame
    value = json.loads(frame)
    before = len(value["messages"])
    change(value)
    return None if before and not value["messages"] else json.dumps(value)


def unchanged(frame: dict[str, Any]) -> None:
    """Leave a frame as it is."""


def setting(kind: str, **fields: Any) -> Change:
    """Give messages of a kind these fields."""

    def change(frame: dict[str, Any]) -> None:
        for message in frame["messages"]:
            if message["kind"] == kind:
                message.update(fields)

    return change


def dropping(kind: str) -> Change:
    """Take messages of a kind out, which have no number."""

    def change(frame: dict[str, Any]) -> None:
        frame["messages"] = [message for message in frame["messages"] if message["kind"] != kind]

    return change


def never_acknowledging(frame: dict[str, Any]) -> None:
    frame.pop("ack", None)
    frame.pop("credits", None)
    dropping("ack")(frame)


def succeeding(frame: dict[str, Any]) -> None:
    setting("result", status="succeeded", error=None)(frame)


def acknowledging_the_future(frame: dict[str, Any]) -> None:
    if "ack" in frame:
        frame["ack"] += 50


def skipping_numbers(frame: dict[str, Any]) -> None:
    if frame.get("seq"):
        frame["seq"] += 1


def deaf_to_cancel(frame: dict[str, Any]) -> None:
    for message in frame["messages"]:
        if message["kind"] == "cancel":
            message["attempt"] = "another/1"


def without_timeouts(frame: dict[str, Any]) -> None:
    setting("assign", timeout_s=None)(frame)


def forgetful(frame: dict[str, Any]) -> None:
    """Every assignment is new to the device, which tells of it under its old name."""
    for message in frame["messages"]:
        if message["kind"] == "assign":
            message["attempt"] += f"#{frame['seq']}".replace("#", ":")


def under_the_old_name(frame: dict[str, Any]) -> None:
    for message in frame["messages"]:
        if "attempt" in message:
            message["attempt"] = message["attempt"].partition(":")[0]


def shouting(frame: dict[str, Any]) -> None:
    for message in frame["messages"]:
        if message["kind"] == "result" and isinstance(message["output"], dict) and "text" in message["output"]:
            message["output"]["text"] = message["output"]["text"].encode("ascii", "replace").decode()


def unaware_of_resuming(frame: dict[str, Any]) -> None:
    setting("hello", session=None, received=0)(frame)


def another_file(frame: dict[str, Any]) -> None:
    for message in frame["messages"]:
        if message["kind"] == "result":
            message["artifacts"] = []


BROKEN: list[tuple[str, Change, Change, str]] = [
    ("says_hello", setting("hello", device="somebody-else"), unchanged, "somebody-else"),
    ("says_hello", setting("hello", token="guessed"), unchanged, "another token"),
    ("says_hello", setting("hello", versions=[2]), unchanged, "versions"),
    ("shows_its_profile", setting("hello", profile={"slots": 2}), unchanged, "lacks the tools"),
    ("opens_a_session", setting("result", epoch=99), unchanged, "epoch 99"),
    ("opens_a_session", skipping_numbers, unchanged, "sequence"),
    ("opens_a_session", acknowledging_the_future, unchanged, "acknowledged"),
    ("keeps_text_as_it_is", shouting, unchanged, "not the value"),
    ("rejects_an_unknown_kind", setting("error", code="oops"), unchanged, "'oops'"),
    ("rejects_a_gap", dropping("error"), unchanged, "without an 'error'"),
    ("acknowledges_what_it_takes_in", never_acknowledging, unchanged, "acknowledgement of message"),
    ("answers_a_ping", setting("pong", nonce=0), unchanged, "pong"),
    ("pings_a_silent_peer", dropping("ping"), unchanged, "a ping"),
    ("resumes_its_session", unaware_of_resuming, unchanged, "no session"),
    ("opens_a_new_session_when_the_old_is_gone", setting("hello", finished=[]), unchanged, "does not list"),
    ("never_runs_an_attempt_twice", under_the_old_name, forgetful, "begun again"),
    ("rejects_an_attempt_that_is_running", under_the_old_name, forgetful, "duplicate"),
    ("keeps_results_over_its_own_death", setting("hello", memory="new", finished=[]), unchanged, "finished"),
    ("tells_of_a_failure", succeeding, unchanged, "'succeeded'"),
    ("tells_of_a_failure", setting("result", error=None), unchanged, "has no error"),
    ("rejects_an_unknown_tool", setting("reject", code="no-slot"), unchanged, "no-slot"),
    ("stops_cancelled_work", unchanged, deaf_to_cancel, "the end of"),
    ("stops_cancelled_work", succeeding, unchanged, "'succeeded'"),
    ("ends_work_that_runs_out_of_time", unchanged, without_timeouts, "the end of"),
    ("sends_a_file", another_file, unchanged, "'artifacts'"),
    ("acknowledges_a_goodbye", unchanged, dropping("goodbye"), "goodbye"),
    ("finishes_when_it_is_drained", setting("reject", code="no-slot"), unchanged, "draining"),
]


@pytest.mark.parametrize(("check", "out", "into", "words"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
async def test_the_kit_notices(
    check: str, out: Change, into: Change, words: str, start_agent: Any, run_checks: Any
) -> None:
    start = start_agent(lambda transport: Tampered(transport, out, into))
    (report,) = await run_checks(start, [check], patience_s=PATIENCE_S)
    assert report.outcome == "failed"
    assert words in report.reason
    assert report.frames


class Forging(Tampered):
    """A transport that changes one byte of every piece of a file that goes out."""

    async def send(self, frame: str | bytes) -> None:
        await super().send(frame[:-1] + bytes([frame[-1] ^ 1]) if isinstance(frame, bytes) else frame)


@pytest.mark.parametrize("check", ["sends_a_file", "sends_a_file_from_an_offset", "goes_on_with_a_file_after_a_cut"])
async def test_the_kit_notices_forged_files(check: str, start_agent: Any, run_checks: Any) -> None:
    start = start_agent(lambda transport: Forging(transport, unchanged, unchanged))
    (report,) = await run_checks(start, [check])
    assert report.outcome == "failed"
    assert "file" in report.reason


class Stubborn(Tampered):
    """A transport that sends each text frame with numbered messages twice, the second time under new numbers."""

    async def send(self, frame: str | bytes) -> None:
        await super().send(frame)
        if isinstance(frame, str) and any(message.kind == "result" for message in decode(frame, limit=2**24).messages):
            value = json.loads(frame)
            value["seq"] += len(value["messages"])
            await super().send(json.dumps(value))


async def test_the_kit_notices_a_second_result(start_agent: Any, run_checks: Any) -> None:
    start = start_agent(lambda transport: Stubborn(transport, unchanged, unchanged))
    (report,) = await run_checks(start, ["drops_what_it_has_seen"])
    assert report.outcome == "failed"


async def test_the_kit_waits_for_a_device_in_vain(run_checks: Any) -> None:
    (report,) = await run_checks(None, ["says_hello"], patience_s=0.1)
    assert (report.outcome, report.reason) == (
        "failed",
        "no connection came for 0.1 s while the kit waited for the device to dial",
    )


async def test_a_device_that_keeps_nothing_is_let_off_what_it_can_not_do(start_agent: Any, run_checks: Any) -> None:
    start = start_agent(lambda transport: Tampered(transport, setting("hello", memory=""), unchanged))
    (report,) = await run_checks(start, ["keeps_results_over_its_own_death"])
    assert (report.outcome, report.frames) == ("skipped", ())
    assert "memory" in report.reason


async def test_the_token_is_not_in_the_report(start_agent: Any, run_checks: Any) -> None:
    start = start_agent(lambda transport: Tampered(transport, setting("hello", versions=[2]), unchanged))
    (report,) = await run_checks(start, ["says_hello"], token="a-secret-of-the-test")
    assert report.outcome == "failed"
    assert "a-secret-of-the-test" not in json.dumps(report.to_json())
