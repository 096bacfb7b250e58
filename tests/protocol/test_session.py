"""The sans-I/O session, event by event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from constellation_protocol import (
    Accept,
    Assign,
    Cancel,
    Goodbye,
    Hello,
    Limits,
    LocalProtocolError,
    Message,
    Progress,
    Refused,
    RemoteProtocolError,
    ToolWork,
    Welcome,
)
from constellation_protocol.codec import as_json
from constellation_protocol.handshake import read_hello
from constellation_protocol.heartbeat import MISSED_BEATS
from constellation_protocol.session import Session
from constellation_protocol.states import LIFE, WIRE, Life, Role, Wire, negotiate


def progress(text: str) -> Progress:
    return Progress(attempt="a", epoch=3, text=text)


def assign(star: str) -> Assign:
    return Assign(run="r", star=star, attempt=star, epoch=3, work=ToolWork(tool="t"))


class Pair:
    """A device's and an orchestrator's session, and the frames between them."""

    def __init__(self, **rules: Any) -> None:
        self.rules = Welcome(session="session-1", epoch=3, **rules)
        self.device = Session(Role.DEVICE)
        self.orchestrator = Session(Role.ORCHESTRATOR)
        self.now = 100.0

    def connect(self) -> None:
        self.device.send_hello(Hello(device="laptop", token="s3cret"))
        hello = self.device.next_frame()
        assert hello is not None
        self.orchestrator.send_welcome(read_hello(hello), self.rules, self.now)
        welcome = self.orchestrator.next_frame()
        assert welcome is not None
        self.device.receive_frame(welcome, self.now)

    def cut(self) -> None:
        self.device.disconnected()
        self.orchestrator.disconnected()

    def pump(self) -> None:
        """Carry frames to and fro until neither side has one."""
        moved = True
        while moved:
            moved = False
            for source, target in ((self.device, self.orchestrator), (self.orchestrator, self.device)):
                while (frame := source.next_frame()) is not None:
                    target.receive_frame(frame, self.now)
                    moved = True


@pytest.fixture
def pair() -> Pair:
    made = Pair()
    made.connect()
    return made


def queue(session: Session, *messages: Message) -> None:
    for message in messages:
        session.queue(session.encode(message))


def sent(session: Session) -> list[dict[str, Any]]:
    """Take all frames that the session wants to send, lost on the way."""
    frames = []
    while (frame := session.next_frame()) is not None:
        assert isinstance(frame, str)
        frames.append(json.loads(frame))
    return frames


def text_frame(*messages: Message, seq: int = 0) -> str:
    body = ",".join(as_json(message) for message in messages)
    return f'{{"v":1,"seq":{seq},"messages":[{body}]}}'


# --- handshake ----------------------------------------------------------------------------------------------------


def test_a_handshake_opens_the_session_on_both_sides(pair: Pair) -> None:
    assert pair.device.wire is pair.orchestrator.wire is Wire.ATTACHED
    assert pair.device.life is pair.orchestrator.life is Life.OPEN
    assert pair.device.welcome is not None
    assert pair.device.welcome.epoch == 3
    assert pair.device.welcome.resumed is False


def test_neither_side_keeps_the_token(pair: Pair) -> None:
    for session in (pair.device, pair.orchestrator):
        assert session.hello is not None
        assert session.hello.token is None


def test_the_highest_common_version_is_chosen() -> None:
    assert negotiate((1, 7)) == 1
    assert negotiate((7,)) is None
    assert negotiate(()) is None


def test_a_welcome_with_a_version_that_was_not_offered_is_refused() -> None:
    device = Session(Role.DEVICE)
    device.send_hello(Hello(device="d"))

    with pytest.raises(RemoteProtocolError, match="version 9"):
        device.receive_frame(text_frame(Welcome(session="s", epoch=1, version=9)), 0.0)


def test_a_refusal_reaches_the_device_with_its_code() -> None:
    device = Session(Role.DEVICE)
    device.send_hello(Hello(device="d"))

    with pytest.raises(Refused) as caught:
        device.receive_frame('{"v":1,"messages":[{"kind":"refuse","code":"limit","message":"full","retry":true}]}', 0.0)

    assert (caught.value.code, caught.value.retry) == ("limit", True)


def test_an_orchestrator_that_makes_nothing_of_the_hello_refuses_it() -> None:
    device = Session(Role.DEVICE)
    device.send_hello(Hello(device="d"))

    with pytest.raises(Refused, match="malformed-frame"):
        device.receive_frame('{"v":1,"messages":[{"kind":"error","code":"malformed-frame","message":"what?"}]}', 0.0)


def test_a_first_welcome_that_claims_to_resume_is_refused() -> None:
    device = Session(Role.DEVICE)
    device.send_hello(Hello(device="d"))

    with pytest.raises(RemoteProtocolError, match="never opened"):
        device.receive_frame(text_frame(Welcome(session="s", epoch=1, resumed=True)), 0.0)


def test_nothing_may_come_before_the_handshake_is_finished() -> None:
    device = Session(Role.DEVICE)
    device.send_hello(Hello(device="d"))

    for frame in (text_frame(assign("s"), seq=1), '{"v":1,"messages":[]}', text_frame(Goodbye(), seq=1)):
        with pytest.raises(RemoteProtocolError, match="before the handshake"):
            device.receive_frame(frame, 0.0)


@pytest.mark.parametrize("raw", [text_frame(progress("x"), seq=1), '{"v":1,"messages":[]}', "nonsense"])
def test_the_first_frame_of_a_connection_is_a_hello_and_nothing_else(raw: str) -> None:
    with pytest.raises(RemoteProtocolError):
        read_hello(raw)


def test_a_second_hello_or_welcome_is_out_of_place(pair: Pair) -> None:
    with pytest.raises(RemoteProtocolError, match="'hello' message came out of place"):
        pair.orchestrator.receive_frame(text_frame(Hello(device="laptop")), pair.now)
    with pytest.raises(RemoteProtocolError, match="'welcome' message came out of place"):
        pair.device.receive_frame(text_frame(Welcome(session="other", epoch=9)), pair.now)


# --- messages -----------------------------------------------------------------------------------------------------


def test_messages_queued_together_travel_in_one_frame(pair: Pair) -> None:
    queue(pair.device, progress("one"), progress("two"), progress("three"))

    frames = sent(pair.device)

    assert [(frame["seq"], len(frame["messages"])) for frame in frames] == [(1, 3)]


def test_a_batch_ends_where_it_gets_too_large(pair: Pair) -> None:
    queue(pair.device, *(progress("x" * 40_000) for _ in range(3)))

    assert [frame["seq"] for frame in sent(pair.device)] == [1, 2, 3]


def test_nothing_is_acknowledged_before_the_application_asks_for_more(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.pump()
    assert pair.orchestrator.take() == [progress("one")]
    pair.pump()
    assert pair.device.acked() == []

    assert pair.orchestrator.settle()
    pair.pump()

    assert pair.device.acked() == [progress("one")]
    assert pair.device.acked() == []


def test_what_came_but_was_not_handed_out_is_not_acknowledged(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.pump()
    pair.orchestrator.take()
    queue(pair.device, progress("two"))
    pair.pump()

    pair.orchestrator.settle()
    pair.pump()

    assert pair.device.acked() == [progress("one")]


def test_an_acknowledgement_rides_on_a_frame_that_goes_out_anyway(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.pump()
    pair.orchestrator.take()
    pair.orchestrator.settle()
    queue(pair.orchestrator, assign("s"))

    frames = sent(pair.orchestrator)

    assert [(frame["ack"], [message["kind"] for message in frame["messages"]]) for frame in frames] == [(1, ["assign"])]


def test_an_acknowledgement_goes_alone_when_nothing_else_does(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.pump()
    pair.orchestrator.take()
    pair.orchestrator.settle()

    frames = sent(pair.orchestrator)

    assert [frame["messages"] for frame in frames] == [[{"kind": "ack", "received": 1, "credits": 1024}]]


def test_a_gap_in_the_numbers_is_a_fault(pair: Pair) -> None:
    with pytest.raises(RemoteProtocolError, match="message 2 came where 1 was expected"):
        pair.orchestrator.receive_frame(text_frame(progress("two"), seq=2), pair.now)


def test_what_came_before_is_dropped_even_within_a_frame(pair: Pair) -> None:
    pair.orchestrator.receive_frame(text_frame(progress("one"), progress("two"), seq=1), pair.now)
    pair.orchestrator.receive_frame(text_frame(progress("one"), progress("two"), progress("three"), seq=1), pair.now)
    pair.orchestrator.receive_frame(text_frame(progress("two"), seq=2), pair.now)

    assert pair.orchestrator.take() == [progress("one"), progress("two"), progress("three")]


def test_acknowledging_what_was_never_sent_is_a_fault(pair: Pair) -> None:
    with pytest.raises(RemoteProtocolError, match="message 5 was acknowledged"):
        pair.device.receive_frame('{"v":1,"messages":[{"kind":"ack","received":5,"credits":1}]}', pair.now)


@pytest.mark.parametrize("message", [Cancel(attempt="a", epoch=3), assign("s")])
def test_a_device_does_not_send_what_orchestrators_send(pair: Pair, message: Message) -> None:
    with pytest.raises(LocalProtocolError, match="not for the application on this side"):
        pair.device.encode(message)
    with pytest.raises(RemoteProtocolError) as caught:
        pair.orchestrator.receive_frame(text_frame(message, seq=1), pair.now)
    assert caught.value.code == "direction"


def test_an_orchestrator_does_not_send_what_devices_send(pair: Pair) -> None:
    with pytest.raises(LocalProtocolError):
        pair.orchestrator.encode(Accept(attempt="a", epoch=3))
    with pytest.raises(RemoteProtocolError):
        pair.device.receive_frame(text_frame(Accept(attempt="a", epoch=3), seq=1), pair.now)


def test_the_application_can_not_send_the_sessions_own_traffic(pair: Pair) -> None:
    for message in (Goodbye(), Hello(device="laptop"), Welcome(session="s", epoch=1)):
        with pytest.raises(LocalProtocolError):
            pair.device.encode(message)


# --- credits ------------------------------------------------------------------------------------------------------


def test_the_sender_has_room_for_as_many_messages_as_it_has_credit() -> None:
    pair = Pair(credits=2)
    pair.connect()
    queue(pair.device, progress("one"), progress("two"))
    assert not pair.device.room
    with pytest.raises(LocalProtocolError, match="no credit"):
        queue(pair.device, progress("three"))

    pair.pump()
    pair.orchestrator.take()
    assert not pair.device.room
    pair.orchestrator.settle()
    pair.pump()

    assert pair.device.room


def test_the_sender_has_no_room_beyond_the_bytes_allowed() -> None:
    pair = Pair(limits=Limits(max_unacked_bytes=1024))
    pair.connect()
    queue(pair.device, progress("x" * 2000))

    assert not pair.device.room


def test_sending_beyond_the_credit_is_a_fault() -> None:
    pair = Pair(credits=2)
    pair.connect()

    with pytest.raises(RemoteProtocolError) as caught:
        pair.orchestrator.receive_frame(text_frame(*[progress("x")] * 3, seq=1), pair.now)

    assert caught.value.code == "credits"


def test_sending_far_beyond_the_bytes_allowed_is_a_fault() -> None:
    pair = Pair(limits=Limits(max_unacked_bytes=1024, max_frame_bytes=4096))
    pair.connect()

    for seq in (1, 2, 3):
        pair.orchestrator.receive_frame(text_frame(progress("x" * 1800), seq=seq), pair.now)
        pair.orchestrator.take()
    with pytest.raises(RemoteProtocolError) as caught:
        pair.orchestrator.receive_frame(text_frame(progress("x" * 1800), seq=4), pair.now)

    assert caught.value.code == "credits"


# --- cuts ---------------------------------------------------------------------------------------------------------


def test_what_was_lost_in_a_cut_is_sent_again(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    queue(pair.orchestrator, assign("s"))
    sent(pair.device)
    sent(pair.orchestrator)

    pair.cut()
    pair.connect()
    pair.pump()

    assert pair.orchestrator.take() == [progress("one")]
    assert pair.device.take() == [assign("s")]
    assert pair.orchestrator.welcome is not None
    assert pair.orchestrator.welcome.epoch == 3


def test_what_arrived_before_a_cut_does_not_arrive_again(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.pump()

    pair.cut()
    pair.connect()
    pair.pump()

    assert pair.orchestrator.take() == [progress("one")]


def test_a_reconnect_tells_what_was_taken_meanwhile(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.pump()
    pair.cut()
    pair.orchestrator.take()
    pair.orchestrator.settle()

    pair.connect()

    assert pair.device.acked() == [progress("one")]


def test_what_was_taken_during_a_handshake_is_still_acknowledged(pair: Pair) -> None:
    queue(pair.orchestrator, assign("s"))
    pair.pump()
    pair.cut()
    pair.device.take()

    pair.device.send_hello(Hello(device="laptop"))
    hello = pair.device.next_frame()
    assert hello is not None
    pair.device.settle()
    pair.orchestrator.send_welcome(read_hello(hello), pair.rules, pair.now)
    pair.pump()

    assert pair.orchestrator.acked() == [assign("s")]


def test_what_an_earlier_connection_brought_can_be_acknowledged_before_it_is_sent_again(pair: Pair) -> None:
    queue(pair.orchestrator, assign("one"), assign("two"))
    pair.pump()
    pair.cut()
    pair.connect()
    pair.device.take()
    pair.device.settle()
    ack = pair.device.next_frame()
    assert ack is not None

    pair.orchestrator.receive_frame(ack, pair.now)

    assert pair.orchestrator.acked() == [assign("one"), assign("two")]
    assert sent(pair.orchestrator) == []


def test_a_second_cut_before_anything_was_sent_again_does_no_harm(pair: Pair) -> None:
    queue(pair.orchestrator, assign("one"), assign("two"))
    pair.pump()
    pair.cut()
    pair.connect()
    pair.cut()
    pair.device.take()
    pair.device.settle()

    pair.connect()

    assert pair.orchestrator.acked() == [assign("one"), assign("two")]


def test_messages_can_be_queued_while_there_is_no_connection(pair: Pair) -> None:
    pair.cut()
    queue(pair.device, progress("one"))
    assert pair.device.next_frame() is None

    pair.connect()
    pair.pump()

    assert pair.orchestrator.take() == [progress("one")]


def test_a_device_whose_session_was_forgotten_ends_it(pair: Pair) -> None:
    pair.cut()
    pair.device.send_hello(Hello(device="laptop"))
    pair.device.receive_frame(text_frame(Welcome(session="another", epoch=4)), pair.now)

    assert pair.device.ended
    assert "no longer knows this session" in pair.device.end_reason


def test_a_device_can_not_resume_from_where_it_never_was(pair: Pair) -> None:
    pair.cut()

    with pytest.raises(RemoteProtocolError, match="can't go on from message 7"):
        pair.orchestrator.send_welcome(Hello(device="laptop", session="session-1", received=7), pair.rules, pair.now)


def test_an_orchestrator_can_not_resume_from_where_it_never_was(pair: Pair) -> None:
    pair.cut()
    pair.device.send_hello(Hello(device="laptop"))

    with pytest.raises(RemoteProtocolError, match="can't go on from message 7"):
        pair.device.receive_frame(text_frame(Welcome(session="session-1", epoch=3, resumed=True, received=7)), pair.now)


# --- heartbeats ---------------------------------------------------------------------------------------------------


def test_silence_is_broken_by_a_ping_and_ended_by_the_pong() -> None:
    pair = Pair(heartbeat_s=5.0)
    pair.connect()
    assert pair.device.deadline == 105.0
    pair.now = 104.9
    assert pair.device.tick(pair.now)
    assert sent(pair.device) == []

    pair.now = 105.0
    assert pair.device.tick(pair.now)
    pair.pump()

    assert pair.device.deadline == 110.0
    assert pair.orchestrator.deadline == 110.0


def test_a_peer_that_answers_no_ping_counts_as_dead() -> None:
    pair = Pair(heartbeat_s=5.0)
    pair.connect()

    for beat in range(1, MISSED_BEATS + 1):
        assert pair.device.tick(100.0 + 5 * beat)
        assert [frame["messages"][0]["kind"] for frame in sent(pair.device)] == ["ping"]

    assert not pair.device.tick(100.0 + 5 * (MISSED_BEATS + 1))


def test_a_process_that_was_stopped_asks_before_it_judges() -> None:
    pair = Pair(heartbeat_s=5.0)
    pair.connect()

    assert pair.device.tick(10_000.0)


def test_without_a_connection_no_heartbeat_is_due(pair: Pair) -> None:
    pair.cut()

    assert pair.device.deadline is None
    assert pair.device.tick(1e9)


def test_many_pings_get_one_answer_at_a_time(pair: Pair) -> None:
    pings = ",".join(f'{{"kind":"ping","nonce":{nonce}}}' for nonce in range(500))
    pair.orchestrator.receive_frame(f'{{"v":1,"messages":[{pings}]}}', pair.now)
    assert pair.orchestrator.replying

    assert [frame["messages"] for frame in sent(pair.orchestrator)] == [[{"kind": "pong", "nonce": 499}]]


# --- the end ------------------------------------------------------------------------------------------------------


def test_a_goodbye_ends_the_session_once_everything_before_it_was_taken(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.device.close("done")
    pair.pump()
    assert pair.device.life is Life.CLOSING
    assert pair.orchestrator.life is Life.LEAVING
    assert pair.orchestrator.end_reason == "the peer said goodbye: done"

    assert pair.orchestrator.take() == [progress("one")]
    pair.orchestrator.settle()
    pair.pump()

    assert pair.device.ended
    assert pair.orchestrator.ended
    assert pair.device.acked() == [progress("one")]


def test_a_goodbye_needs_no_credit() -> None:
    pair = Pair(credits=1)
    pair.connect()
    queue(pair.device, progress("one"))

    pair.device.close("done")
    pair.pump()

    assert pair.orchestrator.life is Life.LEAVING


def test_when_both_sides_say_goodbye_both_are_done(pair: Pair) -> None:
    pair.device.close("done")
    pair.orchestrator.close("stopping")
    pair.pump()

    assert pair.device.ended
    assert pair.orchestrator.ended


def test_closing_twice_does_not_cut_the_goodbye_short(pair: Pair) -> None:
    pair.device.close("done")
    pair.device.close("done")

    assert pair.device.life is Life.CLOSING


def test_closing_without_a_connection_ends_at_once(pair: Pair) -> None:
    pair.cut()
    pair.device.close("done")

    assert pair.device.ended


def test_closing_a_session_that_the_peer_leaves_lets_the_last_acknowledgement_out(pair: Pair) -> None:
    pair.device.close("done")
    pair.pump()
    pair.orchestrator.settle()

    pair.orchestrator.close("")
    assert not pair.orchestrator.ended
    pair.pump()

    assert pair.orchestrator.ended
    assert pair.device.ended


def test_closing_with_messages_untaken_ends_at_once(pair: Pair) -> None:
    queue(pair.device, progress("one"))
    pair.device.close("done")
    pair.pump()

    pair.orchestrator.close("")

    assert pair.orchestrator.ended


def test_a_connection_lost_in_the_goodbye_ends_the_session(pair: Pair) -> None:
    pair.device.close("done")
    pair.device.disconnected()

    assert pair.device.ended


def test_nothing_may_follow_a_goodbye(pair: Pair) -> None:
    with pytest.raises(RemoteProtocolError, match="after the goodbye"):
        pair.orchestrator.receive_frame(text_frame(Goodbye(), progress("one"), seq=1), pair.now)
    pair.orchestrator.receive_frame(text_frame(Goodbye(), seq=1), pair.now)
    with pytest.raises(RemoteProtocolError, match="after the goodbye"):
        pair.orchestrator.receive_frame(text_frame(progress("one"), seq=2), pair.now)


def test_no_message_can_be_queued_after_closing(pair: Pair) -> None:
    encoded = pair.device.encode(progress("late"))
    pair.device.close("done")

    assert not pair.device.room
    with pytest.raises(LocalProtocolError, match="closing"):
        pair.device.queue(encoded)


def test_whoever_breaks_the_rules_is_told_and_the_session_ends(pair: Pair) -> None:
    pair.orchestrator.fail(RemoteProtocolError("sequence", "out of step"))
    pair.orchestrator.fail(RemoteProtocolError("sequence", "again"))

    frames = sent(pair.orchestrator)
    assert [frame["messages"] for frame in frames] == [
        [{"kind": "error", "code": "sequence", "message": "out of step"}]
    ]
    pair.device.receive_frame(json.dumps(frames[0]), pair.now)

    assert pair.orchestrator.ended
    assert pair.device.ended
    assert "we broke the protocol (sequence)" in pair.device.end_reason


def test_what_comes_after_the_end_is_not_even_looked_at(pair: Pair) -> None:
    pair.device.end("enough")

    pair.device.receive_frame("nonsense", pair.now)
    pair.device.end("again")

    assert pair.device.end_reason == "enough"


# --- the tables ---------------------------------------------------------------------------------------------------


def test_a_side_does_only_what_its_role_allows() -> None:
    with pytest.raises(LocalProtocolError, match="only the device"):
        Session(Role.ORCHESTRATOR).send_hello(Hello(device="d"))
    with pytest.raises(LocalProtocolError, match="only the orchestrator"):
        Session(Role.DEVICE).send_welcome(Hello(device="d"), Welcome(session="s", epoch=1), 0.0)


def test_a_second_handshake_on_one_connection_is_refused(pair: Pair) -> None:
    with pytest.raises(LocalProtocolError, match="attached"):
        pair.device.send_hello(Hello(device="d"))


def test_every_life_can_end_and_nothing_follows_the_end() -> None:
    assert {life for life, event in LIFE if event == "end"} == set(Life) - {Life.ENDED}
    assert Life.ENDED not in {life for life, _ in LIFE}


def test_every_connection_can_be_lost() -> None:
    assert {wire for wire, event in WIRE if event == "lost"} == set(Wire) - {Wire.DETACHED}
