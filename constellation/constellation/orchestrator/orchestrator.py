"""The orchestrator: what a user starts, submits graphs to, and asks about runs and devices.

It puts the parts together (journal, engine, hub, devices) and carries out what the engine's scheduler wants done.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from constellation_protocol.kinds import DeviceSpec
from constellation_protocol.messages import Progress
from constellation_protocol.settings import SessionSettings
from constellation_protocol.tasks import background

from ..graph import EditConflict, GraphError, StarId, TaskConstellation, TaskStar
from ..graph.documents import dump
from ..journal import Journal, JournalError, RunBusy, RunSummary, default_home, open_journal
from ..scheduling import (
    JournalEntry,
    PlacementPolicy,
    RunEnded,
    RunId,
    RunMachine,
    RunOptions,
    Scheduler,
    SchedulingError,
    UnknownRun,
)
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from . import events as out
from .admission import admit, check_stars, find_problems
from .devices import DeviceInfo, wait_for_devices
from .engine import Engine, check_size
from .errors import AdmissionRefused, CannotResume, OrchestratorStopped, Problem, RunInUse
from .event_log import EventLog
from .fleets import Fleet, restart_devices, start_devices
from .hub import ConnectedDevice, Hub
from .notices import from_command, from_entry
from .offering import Offering
from .planning import Planner, consult, review_of
from .recovery import LEASE_S, MAX_RUNS, claim, owner_name, read_family, replay
from .run import LocalRun

if TYPE_CHECKING:
    from ssl import SSLContext

    from .client import RemoteOrchestrator

MAX_ENDED_RUNS = 100
"""How many runs that have ended are kept in memory, for observers that come late; the journal has them all."""

FLEET_KEY = "fleet"
"""Where a run's info says which devices it was run on, if those can be brought back."""

MAX_LOOKS = 5
"""How often a planner looks at one star when other edits keep coming in between."""

EMBEDDED_SESSIONS = SessionSettings(resume_window_s=10.0)
"""Sessions of devices that this process has started itself: it knows at once when one of them dies."""


class Orchestrator:
    """Runs constellations on devices. Make one with `local`, `serve`, `connect` or `reopen`."""

    def __init__(
        self,
        journal: Journal,
        tasks: TaskGroup,
        *,
        home: Path,
        planner: Planner | None,
        policy: PlacementPolicy | None,
        no_device_patience_s: float,
        resumable: bool,
    ) -> None:
        """Not for direct use."""
        self._resumable = resumable
        self._journal = journal
        self._tasks = tasks
        self._planner = planner
        self._owner = owner_name()
        self._runs: dict[RunId, LocalRun] = {}
        self._planners: dict[RunId, Planner | None] = {}
        self._ended: deque[RunId] = deque()
        self._fleet: str | None = None
        self._engine = Engine(Scheduler(policy=policy, no_device_patience_s=no_device_patience_s), journal, self)
        self._hub = Hub(
            self._engine,
            tasks,
            artifacts=home / "artifacts",
            on_progress=self._progressed,
            on_fleet=self._fleet_changed,
        )
        self._offering = Offering(self._hub)
        self._stopping = False
        self.token = ""

    # --- making one -------------------------------------------------------------------------------------------------

    @classmethod
    @asynccontextmanager
    async def local(
        cls,
        devices: int | Sequence[DeviceSpec] = 2,
        *,
        kind: str = "local",
        tools: Sequence[Any] = (),
        slots: int = 2,
        root: Path | None = None,
        allow_hosts: Sequence[str] = (),
        journal: str | Path | None = ":memory:",
        home: Path | None = None,
        planner: Planner | None = None,
        policy: PlacementPolicy | None = None,
        no_device_patience_s: float = 30.0,
    ) -> AsyncIterator[Orchestrator]:
        """An orchestrator with devices of its own, which live as long as it does.

        Args:
            devices: How many alike, or what each is to be.
            kind: `local` for devices in this process, `process` for one process each.
            tools: What all of them offer besides the built-in toolkits: references `module:attr`, or, for devices in
                this process, functions.
            slots: How many stars each runs at once, where `devices` is a number.
            root: The directory that their file and shell tools are confined to, where `devices` is a number; the
                present one when None.
            allow_hosts: Hosts that their http tools may reach, where `devices` is a number.
            journal: The journal's path; None for the user's own; by default it is kept in memory only.
            home: Where artifacts and the state of devices are kept; a fresh directory, removed in the end, when the
                journal is in memory, else the user's own.
            planner: Looks at every star that ends; see `constellation.Planner`.
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star waits while no device matches it, in seconds.

        Raises:
            UnknownDeviceKind, OSError: the devices can't be started.
        """
        if isinstance(devices, int):
            where = root if root is not None else Path.cwd()
            devices = [
                DeviceSpec(f"device-{number}", slots=slots, root=where, allow_hosts=tuple(allow_hosts))
                for number in range(1, devices + 1)
            ]
        specs = [replace(spec, tools=(*spec.tools, *tools)) for spec in devices]
        async with (
            cls._open(journal, home, planner, policy, no_device_patience_s) as self,
            start_devices(self._hub, specs, kind, home=self.home, settings=EMBEDDED_SESSIONS) as fleet,
            self._with_fleet(fleet),
        ):
            yield self

    @classmethod
    @asynccontextmanager
    async def reopen(
        cls,
        run: str,
        *,
        journal: str | Path | None = None,
        home: Path | None = None,
        planner: Planner | None = None,
        policy: PlacementPolicy | None = None,
        no_device_patience_s: float = 30.0,
        rerun_unknown: bool = False,
    ) -> AsyncIterator[Orchestrator]:
        """An orchestrator with the devices that a run had before its orchestrator stopped; `resume` gives the run.

        Devices that have outlived that orchestrator are taken back with what they have done meanwhile.

        Args:
            run: The run's id, or the beginning of it.
            journal: The journal's path; the user's own when None.
            home: Where artifacts and the state of devices are kept; the user's own when None.
            planner: Looks at every star that ends from now on.
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star waits while no device matches it, in seconds.
            rerun_unknown: See `resume`.

        Raises:
            RunNotFound, AmbiguousRun: the journal has no such run.
            CannotResume: the run had no devices of its own.
        """
        async with cls._open(journal, home, planner, policy, no_device_patience_s) as self:
            summary = await self._journal.run(run)
            if summary.state in ("succeeded", "failed", "cancelled"):
                raise CannotResume(f"run {summary.run} has {summary.state} already; see it with `constellation show`")
            fleet_id = summary.info.get(FLEET_KEY)
            if not isinstance(fleet_id, str):
                raise CannotResume(
                    f"run {summary.run} was not run on devices that can be started again; "
                    "start an orchestrator with devices and resume it there"
                )
            # Before the devices come back: what they then report is about a run that is known again.
            await self._take_up(RunId(summary.run), planner, rerun_unknown)
            async with (
                restart_devices(self._hub, fleet_id, home=self.home, settings=EMBEDDED_SESSIONS) as fleet,
                self._with_fleet(fleet),
            ):
                yield self

    @classmethod
    @asynccontextmanager
    async def serve(
        cls,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        journal: str | Path | None = None,
        home: Path | None = None,
        planner: Planner | None = None,
        policy: PlacementPolicy | None = None,
        no_device_patience_s: float = 30.0,
        ssl: SSLContext | None = None,
    ) -> AsyncIterator[Orchestrator]:
        """A hub: an orchestrator that devices and clients dial; its address is in `url`.

        Args:
            host: The address to listen on; anything but loopback needs `ssl`.
            port: The port, 0 for a free one.
            token: What devices and clients have to show; made, and then in `token`, when None.
            journal: The journal's path; the user's own when None.
            home: Where artifacts are kept; the user's own when None.
            planner: Looks at every star that ends, in every run.
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star waits while no device matches it, in seconds.
            ssl: TLS settings.

        Raises:
            ValueError: it would listen beyond loopback without TLS.
            OSError: the address can't be listened on.
        """
        from .control import CONTROL_PATH, ControlServer
        from .listening import check_exposure, listening

        check_exposure(host, ssl)
        async with cls._open(journal, home, planner, policy, no_device_patience_s) as self:
            if token == "":
                raise ValueError("an empty token would let everybody in: give another, or none to have one made")
            self.token = token if token is not None else secrets.token_urlsafe(32)
            self._hub.allow(self.token)
            await self._take_up_all()
            settings = SessionSettings()
            control = ControlServer(self, max_frame_bytes=settings.limits.max_frame_bytes)
            paths = {CONTROL_PATH: control.handle}
            async with listening(self._hub, host, port, ssl=ssl, settings=settings, paths=paths):
                with self._stopping_first():
                    yield self

    @classmethod
    def connect(
        cls, url: str, token: str | None = None, *, ssl: SSLContext | None = None
    ) -> AbstractAsyncContextManager[RemoteOrchestrator]:
        """A client of a hub, with the methods of an orchestrator.

        Args:
            url: The hub's URL, as it prints it.
            token: The hub's token; `CONSTELLATION_TOKEN` from the environment when None.
            ssl: TLS settings, for `wss://` with a certificate that the system does not know.

        Raises:
            HubUnreachable: it can't be dialled, or does not let this client in.
        """
        from .client import connect

        return connect(url, token, ssl=ssl)

    @classmethod
    @asynccontextmanager
    async def _open(
        cls,
        journal: str | Path | None,
        home: Path | None,
        planner: Planner | None,
        policy: PlacementPolicy | None,
        no_device_patience_s: float,
    ) -> AsyncIterator[Orchestrator]:
        async with AsyncExitStack() as stack:
            if home is None and journal == ":memory:":
                from tempfile import TemporaryDirectory

                home = Path(stack.enter_context(TemporaryDirectory(prefix="constellation-")))
            home = home if home is not None else default_home()
            store = await stack.enter_async_context(open_journal(journal))
            stack.enter_context(_one_journal_error())
            tasks = await stack.enter_async_context(background())
            self = cls(
                store,
                tasks,
                home=home,
                planner=planner,
                policy=policy,
                no_device_patience_s=no_device_patience_s,
                resumable=journal != ":memory:",
            )
            self.home = home
            tasks.start_soon(self._engine.run)
            tasks.start_soon(self._renew_claims)
            try:
                yield self
            finally:
                self._stop()
                await self._let_go_of_all()
                tasks.cancel_scope.cancel()

    home: Path

    @asynccontextmanager
    async def _with_fleet(self, fleet: Fleet) -> AsyncIterator[None]:
        """Work with devices of its own, and say in the end whether they may be wanted back."""
        self._started, self._fleet = fleet.started, fleet.id
        self._offering.begin(fleet.started, fleet.tools)
        try:
            with self._stopping_first():
                await self.wait_for_devices(fleet.size)
                yield
        finally:
            fleet.needed = self._resumable and await self._is_needed(fleet)

    async def _is_needed(self, fleet: Fleet) -> bool:
        """Whether a run that has not ended was run on these devices."""
        with anyio.CancelScope(shield=True):
            try:
                going_on = await self._journal.runs(limit=MAX_RUNS, state="running")
            except JournalError:
                return True
        return any(summary.info.get(FLEET_KEY) == fleet.id for summary in going_on)

    @contextmanager
    def _stopping_first(self) -> Iterator[None]:
        """In the end take in nothing more: what devices say while they are closed is not what became of their work."""
        try:
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._engine.stop()

    async def _let_go_of_all(self) -> None:
        """Let others have the runs that have not ended, and tell whoever still watches them."""
        held = [run for run in self._runs.values() if run.log.finished is None]
        for run in held:
            run.log.close(OrchestratorStopped())
        with anyio.CancelScope(shield=True), suppress(JournalError):
            # When the journal has failed, what is wrong with it has been said; and a claim runs out by itself.
            for run in held:
                await self._journal.release(run.id, owner=self._owner)

    # --- runs -------------------------------------------------------------------------------------------------------

    async def submit(
        self,
        graph: TaskConstellation,
        *,
        options: RunOptions | None = None,
        info: Mapping[str, Any] | None = None,
        planner: Planner | None = None,
    ) -> LocalRun:
        """Start a run of a graph; the graph itself is not changed by it.

        Args:
            graph: What to run.
            options: How to run it.
            info: Kept with the run in the journal, JSON.
            planner: Looks at every star of this run that ends; the orchestrator's own when None.

        Raises:
            AdmissionRefused: the connected devices can't carry it out.
            DeviceUnsuited: it uses functions of this process, but its devices live in others.
            TooLarge: the journal does not take a graph of this size at once.
        """
        if FLEET_KEY in (info or {}):
            raise ValueError(f"{FLEET_KEY!r} can't be among a run's info: the orchestrator notes its own devices there")
        await self._offer(graph.functions)
        admit(graph, {name: device.profile for name, device in self._hub.devices.items()})
        run = new_run_id()
        planner = planner if planner is not None else self._planner
        options = replace(options if options is not None else RunOptions(), review=planner is not None)
        kept = {**(info or {}), **({FLEET_KEY: self._fleet} if self._fleet else {})}
        started = ev.RunStarted(self._engine.clock(), run, dump(graph), options)
        check_size(started)
        # Shielded for as long as the journal takes: a run is in it with its first record, or not at all.
        with anyio.CancelScope(shield=True):
            await self._begin(started, kept, planner)
        return self._runs[run]

    async def _begin(self, started: ev.RunStarted, info: Mapping[str, Any], planner: Planner | None) -> None:
        run = started.run
        name = str(started.graph.get("name", ""))
        await self._journal.create_run(run, name=name, at=started.at, info=info)
        self._planners[run] = planner
        try:
            await claim(self._journal, run, owner=self._owner, at=started.at)
            await self._journal.set_state(run, "running", at=started.at)
            await self._engine.ask(started)
        except (GraphError, SchedulingError, OrchestratorStopped):
            del self._planners[run]
            await self._journal.delete(run)
            raise

    async def check(self, graph: TaskConstellation) -> list[Problem]:
        """What keeps the connected devices from carrying a graph out, star by star; empty when nothing does."""
        await self._offer(graph.functions)
        return find_problems(graph, {name: device.profile for name, device in self._hub.devices.items()})

    async def resume(self, run: str, *, planner: Planner | None = None, rerun_unknown: bool = False) -> LocalRun:
        """Go on with a run whose orchestrator has stopped; stars that had ended are not run again.

        Args:
            run: Its id, or the beginning of it.
            planner: Looks at every star that ends from now on.
            rerun_unknown: Run again what was going on and may or may not have had its effect, even where it is not
                declared idempotent.

        Raises:
            RunNotFound, AmbiguousRun: the journal has no such run.
            RunInUse: another orchestrator works on it.
            CannotResume: it has ended.
            AdmissionRefused: the connected devices can't carry out what is left.
        """
        summary = await self._journal.run(run)
        found = RunId(summary.run)
        if found not in self._runs:
            return await self._take_up(found, planner or self._planner, rerun_unknown, admitted_only=True)
        held = self._runs[found]
        if not held.machine.ended:
            self._admit(held.machine.graph)
        return held

    def _admit_stars(self, stars: Iterable[TaskStar]) -> None:
        """See that the connected devices can carry out stars that an edit brings; raises AdmissionRefused."""
        problems = check_stars(stars, {name: device.profile for name, device in self._hub.devices.items()})
        if problems:
            raise AdmissionRefused(problems)

    def _admit(self, graph: TaskConstellation) -> None:
        admit(graph, {name: device.profile for name, device in self._hub.devices.items()})

    async def _take_up(
        self, run: RunId, planner: Planner | None, rerun_unknown: bool, *, admitted_only: bool = False
    ) -> LocalRun:
        """Bring a run and those nested in it back from the journal, before or after their devices have come back."""
        await claim(self._journal, run, owner=self._owner, at=self._engine.clock())
        try:
            family = await read_family(self._journal, run)
            if run in self._runs:
                return self._runs[run]  # someone else has asked for the same meanwhile
            top = replay(family[run])
            if top.ended:
                await self._journal.set_state(run, top.state, at=self._engine.clock())
                raise CannotResume(f"run {run} has {top.state} already; see it with `constellation show`")
            if admitted_only:
                self._admit(top.graph)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._journal.release(run, owner=self._owner)
            raise
        self._planners[run] = planner
        for member, entries in family.items():
            machine = self._engine.scheduler.recover(entries)
            self._engine.recovered(member, len(entries))
            self._add_run(machine)
        now = self._engine.clock()
        going_on = [member for member in family if not self._runs[member].machine.ended]
        await self._engine.ask(
            *(ev.RunRecovered(now, member, planner is not None and member == run, rerun_unknown) for member in going_on)
        )
        for member in family.keys() - going_on:
            # They were needed for their parent to learn how they had ended.
            self._drop(member)
        return self._runs[run]

    async def _take_up_all(self) -> None:
        """Go on with every run of a hub's journal that has not ended and that nobody else works on."""
        for summary in await self._journal.runs(limit=MAX_RUNS, state="running"):
            if summary.parent is None and FLEET_KEY not in summary.info:
                with suppress(RunInUse, CannotResume):
                    await self._take_up(RunId(summary.run), self._planner, False)

    async def find_run(self, run: str) -> LocalRun:
        """A run that this orchestrator has in hand, by its id or the beginning of it; raises UnknownRun."""
        found = [held for held in self._runs.values() if held.id == run] or [
            held for held in self._runs.values() if held.id.startswith(run) and held.machine.parent is None
        ]
        if len(found) != 1:
            raise UnknownRun(run)
        return found[0]

    @property
    def journal(self) -> Journal:
        """Where runs are kept."""
        return self._journal

    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """The newest runs in the journal, newest first."""
        return await self._journal.runs(limit=limit)

    # --- devices ----------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where devices and clients dial; empty when nothing listens."""
        return self._hub.url

    async def devices(self) -> list[DeviceInfo]:
        """The connected devices, by name."""
        fleet = self._engine.scheduler.fleet.devices
        return [DeviceInfo.of(device, fleet.get(name)) for name, device in sorted(self._hub.devices.items())]

    async def wait_for_devices(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Wait until that many devices are connected; raises DevicesMissing."""
        await wait_for_devices(self._hub, count, timeout_s=timeout_s)

    # --- the engine's carrier ---------------------------------------------------------------------------------------

    def entered(self, entry: JournalEntry) -> None:
        """See `Carrier.entered`."""
        event = entry.event
        if isinstance(event, ev.RunStarted):
            self._add_run(self._engine.scheduler.runs[event.run])
        machine = self._runs[event.run].machine
        log = self._runs[event.run].log
        notice = from_entry(event, machine, log.next_seq)
        if notice is not None:
            log.publish(notice)
        if isinstance(event, (ev.RunStarted, ev.RunRecovered)):
            for device in self._hub.devices.values():
                self._announce(self._runs[event.run], device, None)

    def carry_out(self, command: cmd.Command, at: float) -> None:
        """See `Carrier.carry_out`."""
        if isinstance(command, cmd.Dispatch):
            self._hub.dispatch(command)
        elif isinstance(command, cmd.CancelAttempt):
            self._hub.cancel(command)
            return
        elif isinstance(command, cmd.RequestReview):
            self._tasks.start_soon(self._review, command.run, command.star)
            return
        run = self._runs.get(command.run)
        if run is None:
            return
        notice = from_command(command, run.machine, run.log.next_seq, at)
        if notice is None:
            return
        if isinstance(notice, out.RunFinished):
            self._tasks.start_soon(self._finish, run, notice)
        else:
            run.log.publish(notice)

    def _add_run(self, machine: RunMachine) -> None:
        self._runs[machine.run] = LocalRun(machine, EventLog(machine.run), self._engine, self._offer, self._admit_stars)

    async def _offer(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        going_on = any(not run.machine.ended for run in self._runs.values())
        await self._offering.offer(functions, needed=going_on)

    async def _finish(self, run: LocalRun, notice: out.RunFinished) -> None:
        """Note the end in the journal's summary, and tell it only then."""
        info = {"stars": dict(notice.stars), "width": notice.width, "makespan_s": notice.makespan_s}
        await self._journal.set_state(run.id, notice.state, at=notice.time, info=info)
        if run.machine.parent is None:
            await self._journal.release(run.id, owner=self._owner)
        run.log.publish(replace(notice, seq=run.log.next_seq))
        self._engine.let_go(run.machine.run)
        self._planners.pop(run.machine.run, None)
        self._ended.append(run.machine.run)
        if len(self._ended) > MAX_ENDED_RUNS:
            del self._runs[self._ended.popleft()]

    def _drop(self, run: RunId) -> None:
        """Forget a run at once."""
        self._engine.let_go(run)
        self._planners.pop(run, None)
        del self._runs[run]

    def lost(self, run: RunId, error: JournalError) -> set[RunId]:
        """See `Carrier.lost`."""
        top = self._runs[run].machine
        while top.parent is not None and top.parent[0] in self._runs:
            top = self._runs[top.parent[0]].machine
        family = {top.run}
        for held in self._runs.values():  # outer runs come before those nested in them
            if held.machine.parent is not None and held.machine.parent[0] in family:
                family.add(held.machine.run)
        for member in family:
            self._runs[member].log.close(
                RunInUse(f"run {member} has been taken over by another orchestrator; follow it there ({error})")
            )
            self._drop(member)
        return family

    # --- planners ---------------------------------------------------------------------------------------------------

    async def _review(self, run: RunId, star: StarId) -> None:
        """Have the planner look at a star, and let what waits for it go on."""
        owner = self._runs.get(run)
        planner = self._planners.get(run)
        if owner is None:
            return
        note = ""
        if planner is not None:
            try:
                await self._plan(planner, owner, star)
            except (OrchestratorStopped, RunEnded):
                return
            except Exception as error:  # whatever a planner does wrong, the run goes on without its edit
                note = f"{type(error).__name__}: {error}"
                owner.log.publish(
                    out.EditRefused(seq=owner.log.next_seq, time=self._engine.clock(), run=run, star=star, message=note)
                )
        self._engine.post(ev.HoldReleased(self._engine.clock(), run, star, note))

    async def _plan(self, planner: Planner, owner: LocalRun, star: StarId) -> None:
        """Apply what the planner makes of a star; when another edit came in between, let it look again."""
        for chance in range(1, MAX_LOOKS + 1):
            edit = await consult(planner, review_of(owner.machine.run, owner.machine.graph, star))
            if edit is None:
                return
            try:
                await owner.edit(edit)
            except EditConflict:
                if chance == MAX_LOOKS:
                    raise
            else:
                return

    # --- what devices let be known ----------------------------------------------------------------------------------

    def _progressed(self, run: RunId, star: str, device: str, message: Progress) -> None:
        owner = self._runs.get(run)
        attempt = owner.machine.attempts.get(ev.AttemptId(message.attempt)) if owner is not None else None
        if owner is None or attempt is None or attempt.device != device or attempt.epoch != message.epoch:
            return
        owner.log.publish(
            out.StarProgress(
                seq=owner.log.next_seq,
                time=self._engine.clock(),
                run=run,
                star=star,
                device=device,
                text=message.text,
                fraction=message.fraction,
                data=message.data,
            )
        )

    def _fleet_changed(self, device: ConnectedDevice, gone: str | None) -> None:
        if self._stopping:
            return
        for run in self._runs.values():
            if run.log.finished is None:
                self._announce(run, device, gone)

    def _announce(self, run: LocalRun, device: ConnectedDevice, gone: str | None) -> None:
        seq, now = run.log.next_seq, self._engine.clock()
        if gone is not None:
            run.devices_lost.append(device.name)
            run.log.publish(out.DeviceLeft(seq=seq, time=now, run=run.id, device=device.name, reason=gone))
            return
        profile = device.profile
        run.log.publish(
            out.DeviceJoined(
                seq=seq,
                time=now,
                run=run.id,
                device=device.name,
                slots=profile.slots,
                pid=profile.pid,
                labels=profile.labels,
            )
        )

    # --- claims -----------------------------------------------------------------------------------------------------

    async def _renew_claims(self) -> None:
        while True:
            await anyio.sleep(LEASE_S / 3)
            for run in [run for run in self._runs.values() if not run.machine.ended and run.machine.parent is None]:
                try:
                    await self._journal.acquire(run.id, owner=self._owner, at=self._engine.clock(), lease_s=LEASE_S)
                except RunBusy as busy:
                    self.lost(run.machine.run, busy)


@contextmanager
def _one_journal_error() -> Iterator[None]:
    """A journal that fails, fails all that use it at that moment: one of their errors stands for all of them."""
    try:
        yield
    except BaseExceptionGroup as group:
        failures, others = group.split(JournalError)
        if failures is None or others is not None:
            raise
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def new_run_id(now: Callable[[], float] = time.time) -> RunId:
    """A run id that sorts by time and can be typed: the date, the time of day, and four random letters."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now()))
    return RunId(f"{stamp}-{''.join(secrets.choice('abcdefghjkmnpqrstvwxyz') for _ in range(4))}")
