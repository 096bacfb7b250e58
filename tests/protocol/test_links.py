"""Links over in-memory connections: what dialing and accepting do when connections come, go, lie and stay silent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskGroup

from constellation_protocol import (
    Assign,
    Hello,
    Link,
    LinkClosed,
    LocalProtocolError,
    Message,
    Progress,
    ReconnectPolicy,
    Refused,
    SessionSettings,
    ToolWork,
    Transport,
    TransportClosed,
)
from constellation_protocol import accept as accept_module
from constellation_protocol.accept import Acceptor
from constellation_protocol.dialer import dial_over
from constellation_protocol.memory import MemoryTransport, memory_pair
from constellation_protocol.transport import Peer

pytestmark = pytest.mark.anyio
SLOW = ReconnectPolicy(first_delay_s=60.0, max_delay_s=60.0)
QUICK = ReconnectPolicy(first_delay_s=0.001, max_delay_s=0.01, give_up_s=5.0)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def progress(number: int) -> Progress:
    return Progress(attempt="a", epoch=7, data=number)


def assign(star: str) -> Assign:
    return Assign(run="r", star=star, attempt=star, epoch=7, work=ToolWork(tool="t"))


def raw_frame(**message: object) -> str:
    return json.dumps({"v": 1, "messages": [message]})


class Hub:
    """An orchestrator's end that records, and connections to it that can be cut."""

    def __init__(self, tasks: TaskGroup, settings: SessionSettings) -> None:
        self.tasks = tasks
        self.hellos: list[Hello] = []
        self.links: list[Link] = []
        self.transports: list[MemoryTransport] = []
        self.received: list[Message] = []
        self.ended: list[str] = []
        self.changed = anyio.Event()
        self.reachable = True
        self.refusal: Refused | None = None
        self.serve: Callable[[Link], Awaitable[None]] = self.collect
        self.acceptor = Acceptor(
            tasks, authenticate=self.authenticate, admit=self.admit, serve=self._serve, settings=settings
        )

    def note(self) -> None:
        changed, self.changed = self.changed, anyio.Event()
        changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not condition():
                await self.changed.wait()

    async def authenticate(self, hello: Hello, peer: Peer) -> None:
        self.hellos.append(hello)
        self.note()
        if self.refusal is not None:
            raise self.refusal

    async def admit(self, hello: Hello, grounds: None) -> int:
        return 7

    async def _serve(self, link: Link) -> None:
        self.links.append(link)
        self.note()
        await self.serve(link)

    async def collect(self, link: Link) -> None:
        try:
            while True:
                self.received += await link.receive()
                self.note()
        except LinkClosed as closed:
            self.ended.append(closed.reason)
            self.note()
            raise

    async def connect(self) -> Transport:
        if not self.reachable:
            raise TransportClosed("nobody is there")
        ours, theirs = memory_pair()
        self.transports.append(ours)
        self.tasks.start_soon(self.acceptor.handle, theirs)
        return ours

    def cut(self) -> None:
        self.transports[-1].abort()


@asynccontextmanager
async def hub(settings: SessionSettings | None = None) -> AsyncIterator[Hub]:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            yield Hub(tasks, settings or SessionSettings())
            tasks.cancel_scope.cancel()


def hello() -> Hello:
    return Hello(device="laptop", token="s3cret")


async def test_messages_pass_both_ways_and_the_acknowledged_are_reported() -> None:
    acked: list[Message] = []
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, on_acked=acked.extend) as link:
        await link.send(progress(1), progress(2))
        await orchestrator.until(lambda: len(orchestrator.received) == 2)
        await orchestrator.links[0].send(assign("s"))

        assert await link.receive() == [assign("s")]
        assert acked == [progress(1), progress(2)]
        assert link.connected
        assert link.welcome.epoch == orchestrator.links[0].welcome.epoch == 7
        assert orchestrator.links[0].hello.device == link.hello.device == "laptop"


async def test_the_token_stays_with_whoever_checks_it() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello):
        await orchestrator.until(lambda: bool(orchestrator.links))

        assert orchestrator.hellos[0].token == "s3cret"
        assert orchestrator.links[0].hello.token is None


async def test_a_stream_survives_cuts_in_its_middle() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=QUICK) as link:
        for number in range(300):
            await link.send(progress(number))
            if number % 60 == 30:
                await orchestrator.until(lambda: len(orchestrator.received) > number - 30)  # noqa: B023 - awaited here
                orchestrator.cut()
        await orchestrator.until(lambda: len(orchestrator.received) == 300)

        assert orchestrator.received == [progress(number) for number in range(300)]
        assert len(orchestrator.transports) > 3
        assert len(orchestrator.links) == 1


async def test_a_link_says_whether_a_connection_carries_it() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=QUICK) as link:
        await orchestrator.until(lambda: bool(orchestrator.links))
        orchestrator.reachable = False
        orchestrator.cut()
        await link.send(progress(1))
        await anyio.wait_all_tasks_blocked()
        assert not link.connected
        assert not orchestrator.links[0].connected
        orchestrator.reachable = True
        await orchestrator.until(lambda: orchestrator.received == [progress(1)])

        assert link.connected
        assert orchestrator.links[0].connected


async def test_every_connection_is_authenticated() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=QUICK) as link:
        await link.send(progress(1))
        orchestrator.refusal = Refused("authentication", "the token was withdrawn")
        orchestrator.cut()

        with pytest.raises(LinkClosed, match="the token was withdrawn"):
            await link.receive()


async def test_the_first_refusal_is_raised() -> None:
    async with hub() as orchestrator:
        orchestrator.refusal = Refused("authentication", "wrong token")
        with pytest.raises(Refused, match="wrong token") as caught:
            async with dial_over(orchestrator.connect, hello):
                pass

        assert caught.value.code == "authentication"


async def test_a_refusal_that_may_pass_is_waited_out() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=QUICK) as link:
        orchestrator.refusal = Refused("limit", "full", retry=True)
        orchestrator.cut()
        await orchestrator.until(lambda: len(orchestrator.hellos) >= 4)
        orchestrator.refusal = None
        await link.send(progress(1))

        await orchestrator.until(lambda: orchestrator.received == [progress(1)])


async def test_a_device_of_an_unknown_version_is_refused() -> None:
    async with hub() as orchestrator:
        with pytest.raises(Refused, match="speaks version 1 of AIP, the device 98, 99"):
            async with dial_over(orchestrator.connect, lambda: Hello(device="d", versions=(98, 99))):
                pass

        assert orchestrator.hellos == []


async def test_a_first_connection_that_fails_is_an_error() -> None:
    async with hub() as orchestrator:
        orchestrator.reachable = False
        with pytest.raises(TransportClosed, match="nobody is there"):
            async with dial_over(orchestrator.connect, hello):
                pass


async def test_a_link_closes_when_the_orchestrator_stays_away() -> None:
    policy = ReconnectPolicy(first_delay_s=0.001, max_delay_s=0.01, give_up_s=0.05)
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=policy) as link:
        orchestrator.reachable = False
        orchestrator.cut()

        with pytest.raises(LinkClosed, match=r"no connection for 0\.05 s: nobody is there"):
            await link.receive()
        with pytest.raises(LinkClosed):
            await link.send(progress(1))


async def test_a_session_ends_when_its_resume_window_has_passed() -> None:
    settings = SessionSettings(resume_window_s=0.02)
    async with hub(settings) as orchestrator, dial_over(orchestrator.connect, hello, reconnect=QUICK) as link:
        await orchestrator.until(lambda: bool(orchestrator.links))
        orchestrator.reachable = False
        orchestrator.cut()
        await orchestrator.until(lambda: orchestrator.ended == ["no connection for 0.02 s"])
        orchestrator.reachable = True

        with pytest.raises(LinkClosed, match="the session has ended: open a new one"):
            await link.receive()


async def test_a_session_can_not_be_taken_over_by_another_device() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello) as link:
        thief = Hello(device="thief", session=link.welcome.session)
        with pytest.raises(Refused) as caught:
            async with dial_over(orchestrator.connect, lambda: thief):
                pass

        assert caught.value.code == "identity"
        assert link.connected


async def test_a_new_connection_of_a_session_replaces_the_old_one() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=SLOW) as link:
        await link.send(progress(1))
        await orchestrator.until(lambda: bool(orchestrator.received))
        second = await orchestrator.connect()
        await second.send(raw_frame(kind="hello", device="laptop", session=link.welcome.session))

        assert '"resumed":true' in str(await second.receive())
        with pytest.raises(TransportClosed):
            await orchestrator.transports[0].receive()
        await second.aclose()


async def test_a_device_that_lost_its_place_can_not_resume() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello) as link:
        forgetful = await orchestrator.connect()
        await forgetful.send(raw_frame(kind="hello", device="laptop", received=99, session=link.welcome.session))

        assert '"code":"sequence"' in str(await forgetful.receive())
        await orchestrator.until(lambda: bool(orchestrator.ended))


@pytest.mark.parametrize("raw", ["nonsense", '{"v":1,"messages":[]}', b"\x00" * 60])
async def test_whoever_does_not_begin_with_a_hello_is_turned_away(raw: str | bytes) -> None:
    async with hub() as orchestrator:
        stranger = await orchestrator.connect()
        await stranger.send(raw)

        assert '"kind":"error"' in str(await stranger.receive())
        with pytest.raises(TransportClosed):
            await stranger.receive()


async def test_whoever_hangs_up_before_the_hello_is_forgotten() -> None:
    async with hub() as orchestrator:
        stranger = await orchestrator.connect()
        await stranger.aclose()
        with pytest.raises(TransportClosed):
            await stranger.receive()

        async with dial_over(orchestrator.connect, hello):
            await orchestrator.until(lambda: bool(orchestrator.links))


async def test_whoever_says_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept_module, "HANDSHAKE_TIMEOUT_S", 0.01)
    async with hub() as orchestrator:
        stranger = await orchestrator.connect()

        with pytest.raises(TransportClosed):
            await stranger.receive()


async def test_an_orchestrator_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation_protocol.session_link.HANDSHAKE_TIMEOUT_S", 0.01)

    async def connect() -> Transport:
        return memory_pair()[0]

    with pytest.raises(TransportClosed, match="no answer to the hello"):
        async with dial_over(connect, hello):
            pass


async def test_too_many_handshakes_at_once_are_turned_away_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept_module, "MAX_HANDSHAKES", 1)
    async with hub() as orchestrator, anyio.create_task_group() as tasks:
        asked, answered = anyio.Event(), anyio.Event()

        async def ponder(hello: Hello, peer: Peer) -> None:
            asked.set()
            await answered.wait()

        monkeypatch.setattr(orchestrator.acceptor, "_authenticate", ponder)

        async def first() -> None:
            async with dial_over(orchestrator.connect, hello):
                answered.set()

        tasks.start_soon(first)
        await asked.wait()
        with pytest.raises(Refused) as caught:
            async with dial_over(orchestrator.connect, hello):
                pass
        answered.set()

        assert (caught.value.code, caught.value.retry) == ("limit", True)


async def test_who_says_nothing_makes_way_for_who_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept_module, "MAX_HANDSHAKES", 2)
    async with hub() as orchestrator:
        silent = [await orchestrator.connect() for _ in range(2)]
        await anyio.wait_all_tasks_blocked()
        async with dial_over(orchestrator.connect, hello):
            with pytest.raises(TransportClosed):
                await silent[0].receive()
            async with dial_over(orchestrator.connect, lambda: hello().model_copy(update={"device": "late"})):
                pass
        await silent[1].aclose()


async def test_a_silent_connection_is_cut_and_mended() -> None:
    class Deaf:
        """Swallows everything once the handshake is over, without closing."""

        def __init__(self, inner: Transport) -> None:
            self.inner = inner
            self.received = 0

        async def send(self, frame: str | bytes) -> None:
            if self.received == 0:
                await self.inner.send(frame)

        async def receive(self) -> str | bytes:
            frame = await self.inner.receive()
            self.received += 1
            while self.received > 1:
                await self.inner.receive()
            return frame

        async def aclose(self) -> None:
            await self.inner.aclose()

        def abort(self) -> None:
            self.inner.abort()

    async with hub(SessionSettings(heartbeat_s=0.02)) as orchestrator:

        async def connect() -> Transport:
            inner = await orchestrator.connect()
            return Deaf(inner) if len(orchestrator.transports) == 1 else inner

        async with dial_over(connect, hello, reconnect=QUICK) as link:
            await link.send(progress(1))
            await orchestrator.until(lambda: orchestrator.received == [progress(1)])

        assert len(orchestrator.transports) > 1


async def test_heartbeats_keep_an_idle_link_up() -> None:
    async with hub(SessionSettings(heartbeat_s=0.01)) as orchestrator, dial_over(orchestrator.connect, hello) as link:
        await anyio.sleep(0.2)
        await link.send(progress(1))
        await orchestrator.until(lambda: orchestrator.received == [progress(1)])

        assert len(orchestrator.transports) == 1


async def test_leaving_sends_what_is_queued_and_the_reason() -> None:
    async with hub() as orchestrator:
        acked: list[Message] = []
        async with dial_over(orchestrator.connect, hello, on_acked=acked.extend) as link:
            await link.send(*[progress(number) for number in range(100)])
            await link.aclose("done for today")
        await orchestrator.until(lambda: bool(orchestrator.ended))

        assert len(orchestrator.received) == len(acked) == 100
        assert orchestrator.ended == ["the peer said goodbye: done for today"]
        with pytest.raises(LinkClosed, match="done for today"):
            await link.send(progress(1))


async def test_what_came_before_a_goodbye_is_still_received() -> None:
    async with hub() as orchestrator:

        async def hand_out_and_leave(link: Link) -> None:
            await link.send(assign("one"), assign("two"))

        orchestrator.serve = hand_out_and_leave
        async with dial_over(orchestrator.connect, hello) as link:
            received = await link.receive()
            with pytest.raises(LinkClosed, match="the peer said goodbye"):
                await link.receive()

        assert received == [assign("one"), assign("two")]


async def test_a_peer_that_takes_nothing_does_not_hold_up_closing_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation_protocol.session_link.CLOSE_GRACE_S", 0.02)
    async with hub() as orchestrator:
        orchestrator.serve = lambda link: anyio.sleep_forever()
        async with dial_over(orchestrator.connect, hello) as link:
            await link.send(progress(1))

        assert not link.connected


async def test_a_sender_waits_for_credit() -> None:
    async with hub(SessionSettings(credits=3)) as orchestrator:
        go = anyio.Event()
        taken: list[Sequence[Message]] = []

        async def wait_then_collect(link: Link) -> None:
            await go.wait()
            while True:
                taken.append(await link.receive())

        orchestrator.serve = wait_then_collect
        async with dial_over(orchestrator.connect, hello) as link:
            with anyio.move_on_after(0.05) as held:
                await link.send(*[progress(number) for number in range(10)])
            assert held.cancelled_caught
            go.set()
            await link.send(progress(10))
            await link.aclose()

        assert len(taken[0]) == 3
        assert [message.data for batch in taken for message in batch] == [0, 1, 2, 10]  # type: ignore[union-attr]


async def test_a_waiting_sender_learns_of_the_end() -> None:
    async with hub(SessionSettings(credits=1)) as orchestrator:
        orchestrator.serve = lambda link: anyio.sleep_forever()
        async with dial_over(orchestrator.connect, hello) as link:

            async def send_much() -> None:
                with pytest.raises(LinkClosed):
                    await link.send(*[progress(number) for number in range(5)])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send_much)
                await anyio.wait_all_tasks_blocked()
                orchestrator.acceptor._links[link.welcome.session][0].end("enough")
                orchestrator.refusal = Refused("shutting-down", "stopping")
                orchestrator.cut()


async def test_whoever_breaks_the_rules_loses_its_session() -> None:
    async with hub() as orchestrator:
        rude = await orchestrator.connect()
        await rude.send('{"v":1,"messages":[{"kind":"hello","device":"rude"}]}')
        await rude.receive()
        await rude.send('{"v":1,"seq":5,"messages":[{"kind":"accept","attempt":"a","epoch":7}]}')

        assert '"code":"sequence"' in str(await rude.receive())
        with pytest.raises(TransportClosed):
            await rude.receive()
        await orchestrator.until(lambda: bool(orchestrator.ended))
        assert orchestrator.ended[0].startswith("the peer broke the protocol (sequence")


async def test_a_device_whose_orchestrator_breaks_the_rules_closes_the_link() -> None:
    ends: list[MemoryTransport] = []

    async def connect() -> Transport:
        ours, theirs = memory_pair()
        ends.append(theirs)
        await theirs.send('{"v":1,"messages":[{"kind":"welcome","session":"s","epoch":1}]}')
        return ours

    async with dial_over(connect, hello) as link:
        await ends[0].send("nonsense")
        with pytest.raises(LinkClosed, match="the peer broke the protocol"):
            await link.receive()


async def test_an_unfit_answer_while_reconnecting_closes_the_link() -> None:
    ends: list[MemoryTransport] = []

    async def connect() -> Transport:
        ours, theirs = memory_pair()
        ends.append(theirs)
        await theirs.send(
            '{"v":1,"messages":[{"kind":"welcome","session":"s","epoch":1}]}' if len(ends) == 1 else "nonsense"
        )
        return ours

    async with dial_over(connect, hello, reconnect=QUICK) as link:
        ends[0].abort()
        with pytest.raises(LinkClosed, match="the orchestrator broke the protocol"):
            await link.receive()


async def test_a_session_that_the_orchestrator_opens_anew_closes_the_link() -> None:
    ends: list[MemoryTransport] = []

    async def connect() -> Transport:
        ours, theirs = memory_pair()
        ends.append(theirs)
        await theirs.send(raw_frame(kind="welcome", session=f"s{len(ends)}", epoch=1))
        return ours

    async with dial_over(connect, hello, reconnect=QUICK) as link:
        ends[0].abort()
        with pytest.raises(LinkClosed, match="no longer knows this session"):
            await link.receive()


async def test_an_error_inside_the_context_comes_out_as_itself() -> None:
    async with hub() as orchestrator:
        with pytest.raises(ValueError, match="mine"):
            async with dial_over(orchestrator.connect, hello):
                raise ValueError("mine")


async def test_a_message_that_can_not_be_sent_sends_nothing_of_its_batch() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello) as link:
        with pytest.raises(LocalProtocolError):
            await link.send(progress(1), assign("not mine to send"))
        await link.send(progress(2))
        await orchestrator.until(lambda: bool(orchestrator.received))

        assert orchestrator.received == [progress(2)]


async def test_a_stopping_orchestrator_says_goodbye_and_admits_nobody() -> None:
    async with hub() as orchestrator, dial_over(orchestrator.connect, hello, reconnect=QUICK) as link:
        await orchestrator.until(lambda: bool(orchestrator.links))

        async def stop() -> None:
            await orchestrator.acceptor.aclose("the orchestrator is stopping")

        orchestrator.tasks.start_soon(stop)
        with pytest.raises(LinkClosed, match="the peer said goodbye: the orchestrator is stopping"):
            await link.receive()
        with pytest.raises(Refused) as caught:
            async with dial_over(orchestrator.connect, hello):
                pass
        assert (caught.value.code, caught.value.retry) == ("shutting-down", True)


@pytest.mark.parametrize(("tries", "chance", "delay_s"), [(0, 0.0, 0.05), (0, 1.0, 0.1), (3, 1.0, 0.8), (99, 1.0, 5.0)])
def test_waits_between_tries_grow_up_to_a_bound_and_are_spread_out(tries: int, chance: float, delay_s: float) -> None:
    assert ReconnectPolicy().delay_s(tries, chance) == pytest.approx(delay_s)
