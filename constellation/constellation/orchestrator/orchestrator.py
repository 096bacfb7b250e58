"""The orchestrator: what a user starts, submits graphs to, and asks about runs and devices.

It puts the parts together: the journal, the devices, the runs in hand (`run_book.py`), and how runs come in
(`intake.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio.abc import TaskGroup

from constellation_protocol.kinds import A2AAgent, DeviceSpec, ModelAgent
from constellation_protocol.tasks import background

from ..graph import TaskConstellation
from ..journal import FLEETING, PATIENCE_S, Journal, RunSummary, open_journal
from ..scheduling import PlacementPolicy, RunOptions
from .admission import find_problems
from .asked import CanBeAsked, local_place
from .devices import DeviceInfo, wait_for_devices
from .door import Door
from .engine import one_journal_error
from .errors import Problem
from .fleets import EMBEDDED_SESSIONS, Fleet, restart_devices, start_devices
from .homes import ARTIFACTS, home_for, using_files
from .intake import Intake
from .planning import Planner
from .run import LocalRun, find_run
from .run_book import RunBook
from .state_dump import RunDump
from .token_store import TOKENS_FILE

if TYPE_CHECKING:
    from ssl import SSLContext

    from .client import RemoteOrchestrator
    from .limits import HubLimits
    from .reviewing import LocalPlace


class Orchestrator(CanBeAsked):
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
        journal_patience_s: float,
        resumable: bool,
    ) -> None:
        """Not for direct use."""
        self._resumable = resumable
        self._book = RunBook(
            journal,
            tasks,
            artifacts=home / ARTIFACTS,
            policy=policy,
            no_device_patience_s=no_device_patience_s,
            journal_patience_s=journal_patience_s,
        )
        self._intake = Intake(self._book, planner)
        self.home = home
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
        agent: ModelAgent | A2AAgent | None = None,
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
            agent: What carries out prompts on them, where `devices` is a number.
            journal: The journal's path or URL; None for the user's own; by default it is in memory only. `:none:` keeps
                no events at all, which is the cheapest.
            home: Where artifacts and the state of devices are kept; a fresh directory, removed in the end, when the
                journal is no file, else the user's own.
            planner: Looks at every star that ends; see `constellation.Planner`.
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star waits while no device matches it, in seconds.

        Raises:
            UnknownDeviceKind, OSError: the devices can't be started.
        """
        if isinstance(devices, int):
            where = root if root is not None else Path.cwd()
            devices = [
                DeviceSpec(f"device-{number}", slots=slots, root=where, allow_hosts=tuple(allow_hosts), agent=agent)
                for number in range(1, devices + 1)
            ]
        specs = [replace(spec, tools=(*spec.tools, *tools)) for spec in devices]
        async with (
            cls._open(journal, home, planner, policy, no_device_patience_s) as self,
            start_devices(self._book.hub, specs, kind, home=self.home, settings=EMBEDDED_SESSIONS) as fleet,
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
        rerun_unknown: bool | None = None,
    ) -> AsyncIterator[Orchestrator]:
        """An orchestrator with the devices that a run had before its orchestrator stopped; `resume` gives the run.

        Devices that have outlived that orchestrator are taken back with what they have done meanwhile. A run that was
        made for a request goes on with its planner by `resume_ask` or `resume_asking`; `resume` goes on without.

        Args:
            run: The run's id, or the beginning of it.
            journal: The journal's path or URL; the user's own when None.
            home: Where artifacts and the state of devices are kept; the user's own when None.
            planner: Looks at every star that ends from now on.
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star waits while no device matches it, in seconds.
            rerun_unknown: What becomes of work that was cut off with its device and is not idempotent: True runs it
                again, False counts it as failed, None refuses to go on where there is any.

        Raises:
            RunNotFound, AmbiguousRun: the journal has no such run.
            DecisionNeeded: work was cut off, and `rerun_unknown` does not say what becomes of it.
            CannotResume: the run had no devices of its own.
        """
        async with cls._open(journal, home, planner, policy, no_device_patience_s) as self:
            # Before the devices come back: what they then report is about a run that is known again.
            fleet_id = await self._intake.reopen(run, planner, rerun_unknown, home=self.home)
            async with (
                restart_devices(self._book.hub, fleet_id, home=self.home, settings=EMBEDDED_SESSIONS) as fleet,
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
        tokens: Path | None = None,
        journal: str | Path | None = None,
        home: Path | None = None,
        planner: Planner | None = None,
        policy: PlacementPolicy | None = None,
        no_device_patience_s: float = 30.0,
        journal_patience_s: float = PATIENCE_S,
        ssl: SSLContext | None = None,
        limits: HubLimits | None = None,
    ) -> AsyncIterator[Orchestrator]:
        """A hub, which devices and clients dial at `url`; it takes over the runs of a hub on its journal that is gone.

        Args:
            host: The address to listen on; anything but loopback needs `ssl`.
            port: The port, 0 for a free one.
            token: What devices and clients without a token of their own show; made, and then in `token`, when None.
            tokens: The list of tokens of single devices and clients, as `constellation tokens` makes it; `tokens.json`
                in `home` when None.
            journal: The journal's path or URL; the user's own when None.
            home: Where artifacts are kept; the user's own when None.
            planner: Looks at every star that ends, in every run.
            policy: Chooses among the devices that can take a star.
            no_device_patience_s: How long a star waits while no device matches it, in seconds.
            journal_patience_s: How long runs wait for the journal while its server is away, in seconds; beyond that the
                hub fails with `JournalError`.
            ssl: TLS settings.
            limits: How much it takes from outside.

        Raises:
            ValueError: it would listen beyond loopback without TLS.
            TokensUnreadable: the list of tokens can't be used.
            OSError: the address can't be listened on.
        """
        from .listening import check_exposure
        from .standby import Standby

        check_exposure(host, ssl)
        async with cls._open(journal, home, planner, policy, no_device_patience_s, journal_patience_s) as self:
            if token == "":
                raise ValueError("an empty token would let everybody in: give another, or none to have one made")
            self.token = token if token is not None else secrets.token_urlsafe(32)
            self.door.allow(self.token)
            self.door.open_to(tokens if tokens is not None else self.home / TOKENS_FILE)
            self._intake.at_hub = True
            self._intake.shared = journal not in FLEETING
            standby = Standby(self._book, self._intake)
            async with standby.serving(self, host, port, ssl=ssl, limits=limits):
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
        journal_patience_s: float = PATIENCE_S,
    ) -> AsyncIterator[Orchestrator]:
        async with AsyncExitStack() as stack:
            home = home if home is not None else stack.enter_context(home_for(journal))
            store = await stack.enter_async_context(open_journal(journal))
            stack.enter_context(using_files(home, journal))
            stack.enter_context(one_journal_error())
            tasks = await stack.enter_async_context(background())
            self = cls(
                store,
                tasks,
                home=home,
                planner=planner,
                policy=policy,
                no_device_patience_s=no_device_patience_s,
                journal_patience_s=journal_patience_s,
                resumable=journal not in FLEETING,
            )
            tasks.start_soon(self._book.engine.run)
            tasks.start_soon(self._book.claims.keep)
            try:
                yield self
            finally:
                self._book.stop()
                await self._book.claims.let_go_of_all()
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _with_fleet(self, fleet: Fleet) -> AsyncIterator[None]:
        """Work with devices of its own, and say in the end whether they may be wanted back."""
        self._intake.fleet = fleet.id
        self._book.offering.begin(fleet.started, fleet.tools)
        try:
            with self._stopping_first():
                await self.wait_for_devices(fleet.size)
                yield
        finally:
            fleet.needed = self._resumable and await self._intake.needs_fleet()

    @contextmanager
    def _stopping_first(self) -> Iterator[None]:
        """In the end take in nothing more, before devices are closed."""
        try:
            yield
        finally:
            self._book.stop()

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
            EmptyGraph: it has no stars.
            DeviceUnsuited: it uses functions of this process, but its devices live in others.
            TooLarge: the journal does not take a graph of this size at once.
        """
        return await self._intake.submit(graph, options=options, info=info, planner=planner)

    async def check(self, graph: TaskConstellation) -> list[Problem]:
        """What keeps the connected devices from carrying a graph out, star by star; raises EmptyGraph."""
        await self._book.offer(graph.functions)
        return find_problems(graph, self._book.profiles)

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
        return await self._intake.resume(run, planner=planner, rerun_unknown=rerun_unknown)

    async def find_run(self, run: str) -> LocalRun:
        """A run that this orchestrator has in hand, by its id or the beginning of it; raises UnknownRun."""
        return find_run(self._book.runs.values(), run)

    @property
    def place(self) -> LocalPlace:
        """Where requests are carried out: here."""
        return local_place(self._book, self._intake)

    @property
    def journal(self) -> Journal:
        """Where runs are kept."""
        return self._book.journal

    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """The newest runs in the journal, newest first."""
        return await self._book.journal.runs(limit=limit)

    async def dump(self, run: str, *, redact: bool = False) -> RunDump:
        """All that is known of a run in the journal, for a report of a bug; raises RunNotFound, AmbiguousRun."""
        return await self._book.dump(run, redact=redact)

    # --- devices ----------------------------------------------------------------------------------------------------

    @property
    def door(self) -> Door:
        """Who is let in by the hub that this orchestrator is."""
        return self._book.hub.door

    @property
    def url(self) -> str:
        """Where devices and clients dial; empty when nothing listens."""
        return self._book.hub.url

    async def devices(self) -> list[DeviceInfo]:
        """The connected devices, by name."""
        fleet = self._book.engine.scheduler.fleet.devices
        return [DeviceInfo.of(device, fleet.get(name)) for name, device in sorted(self._book.hub.devices.items())]

    async def wait_for_devices(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Wait until that many devices are connected; raises DevicesMissing."""
        await wait_for_devices(self._book.hub, count, timeout_s=timeout_s)
