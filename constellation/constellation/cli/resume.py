"""`constellation resume`: go on with a run that was stopped, with the planner of the request that it was made for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import BadInput
from .following import Following
from .options import (
    Approvals,
    Approve,
    AsJson,
    Hub,
    Journal,
    Report,
    TokenFile,
    check_choice,
    checked_report,
    connected,
    resume_options,
)
from .requesting import HOW_TO_ALLOW, carry_out, finished, provide_key
from .settings import read_settings

if TYPE_CHECKING:
    from ..journal import RunSummary
    from ..llm import Model
    from ..orchestrator.requests import AskedRun
    from ..planner import Budget
    from .stopping import Part


def resume(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.", metavar="RUN")],
    hub: Hub = None,
    token_file: TokenFile = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Who goes on planning and answers, for a run of ask; the model that has planned when left out.",
            metavar="MODEL",
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="What a run of ask may use in all, what it has used included; as before when left out.",
            metavar="AMOUNT",
        ),
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="US dollars per million tokens, where nobody knows them.", metavar="INPUT,OUTPUT")
    ] = None,
    planner: Annotated[
        bool, typer.Option("--planner/--no-planner", help="Whether a run of ask has its planner again, and an answer.")
    ] = True,
    approve: Approvals = Approve.ASK,
    rerun_unknown: Annotated[
        bool | None,
        typer.Option(
            "--rerun-unknown/--fail-unknown",
            help="What becomes of work that was cut off and may have had its effect: run again, or counted as failed.",
            show_default=False,
        ),
    ] = None,
    report: Report = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Go on with a run that was stopped, or follow one at a hub; stars that had ended are not run again."""
    from ..planner import Budget
    from .stopping import Part, run_until_stopped

    check_choice(hub, token_file, {"--journal": journal})
    following = Following(
        as_json=as_json,
        approve=approve,
        report=checked_report(report),
        resume_options=resume_options(hub, token_file, journal, report),
        at_hub=hub is not None,
        run_id=run,
    )
    where = resume_options(hub, token_file, journal, None)
    asking = _Asking(model, Budget.parse(budget) if budget else None, price, where)
    if not planner and asking.given:
        raise BadInput("--model, --budget and --price go with a planner: leave them or --no-planner out")
    part = Part()

    async def body() -> int:
        if hub is None:
            return await _resume_here(run, journal, rerun_unknown, following, asking if planner else None, part)
        async with connected(hub, token_file) as client:
            if planner and (known := await _asked_at(client, run)) is not None:
                return await asking.go_on(client, known, following, part, rerun_unknown=bool(rerun_unknown))
            return await following.follow(await client.resume(run, rerun_unknown=bool(rerun_unknown)))

    return following.after(run_until_stopped(body, part))


async def _resume_here(
    run: str,
    journal: str | None,
    rerun_unknown: bool | None,
    following: Following,
    asking: _Asking | None,
    part: Part,
) -> int:
    """Go on with a run of the journal, on devices that are started again."""
    from ..journal import default_home, open_journal
    from ..orchestrator.fleets import models_of
    from ..orchestrator.intake import FLEET_KEY
    from ..orchestrator.orchestrator import Orchestrator
    from .apps import app_of

    async with open_journal(journal) as known:
        summary = await known.run(run)
    if asking is not None and (wanted := await _asked_here(summary, journal)) is not None:
        opened: AbstractAsyncContextManager[Any]
        if wanted.ended:  # only the answer is missing, and no device is needed for that
            opened = Orchestrator.local(0, journal=journal)
        else:
            opened = Orchestrator.reopen(summary.run, journal=journal, rerun_unknown=rerun_unknown)
        fleet = summary.info.get(FLEET_KEY)
        models = models_of(default_home(), fleet) if isinstance(fleet, str) and not wanted.ended else frozenset()
        asking.prepare(wanted, also=models)
        async with opened as orchestrator:
            return await asking.go_on(orchestrator, wanted, following, part, rerun_unknown=bool(rerun_unknown))
    app = app_of(summary.run, summary.info)
    planner = app.planner(summary.info) if app is not None else None
    async with Orchestrator.reopen(
        summary.run, journal=journal, planner=planner, rerun_unknown=rerun_unknown
    ) as orchestrator:
        if app is not None:
            following.report = following.report or app.report_file(summary.info)
            following.write = lambda run, path: app.write_report(run, orchestrator.journal, path)
        return await following.follow(await orchestrator.resume(summary.run))


async def _asked_here(summary: RunSummary, journal: str | None) -> AskedRun | None:
    """What is known of a run that was made for a request which has no answer; None for all other runs."""
    from ..orchestrator.orchestrator import Orchestrator

    if not _wants_answer(summary):
        return None
    async with Orchestrator.local(0, journal=journal) as orchestrator:
        return await orchestrator.place.asked(summary.run)


async def _asked_at(client: Any, run: str) -> AskedRun | None:
    """The same of a run at a hub; None as well where somebody looks after it."""
    from ..orchestrator.errors import CannotResume, HubRefused

    try:
        known: AskedRun = await client.place.asked(run)
    except HubRefused as error:
        if error.type == CannotResume.__name__:
            return None
        raise
    return None if known.attended or known.answered or known.state == "cancelled" else known


def _wants_answer(summary: RunSummary) -> bool:
    from ..orchestrator.gathering import ASKED_KEY

    return ASKED_KEY in summary.info and "answer" not in summary.info and summary.state != "cancelled"


class _Asking:
    """How a request is gone on with, as the options say it."""

    def __init__(self, model: str | None, budget: Budget | None, price: str | None, where: Sequence[str]) -> None:
        self._model_string = model
        self._budget = budget
        self._price = price
        self._where = where
        self._model: Model | None = None

    @property
    def given(self) -> bool:
        """Whether an option says anything."""
        return (self._model_string, self._budget, self._price) != (None, None, None)

    def prepare(self, known: AskedRun, *, also: Iterable[str] = ()) -> None:
        """Open the model, before anything begins, and have devices find the keys of theirs.

        Raises:
            BadInput: there is none, or it can't be opened; says what to give.
        """
        from ..llm import ModelMisconfigured
        from .choosing import open_chosen

        settings = read_settings()
        text = self._model_string or known.kept.model
        if not text:
            raise BadInput(
                f"run {known.run} was planned from a recording, which can't go on: give --model MODEL, or --no-planner"
            )
        try:
            for other in also:
                provide_key(other, settings)
            self._model = open_chosen(text, settings, self._price)
        except ModelMisconfigured as error:
            hint = "" if self._model_string else f"; run {known.run} was planned by it: give --model MODEL for another"
            raise BadInput(f"{error}{hint}, or --no-planner to go on without an answer") from error

    async def go_on(
        self, orchestrator: Any, known: AskedRun, following: Following, part: Part, *, rerun_unknown: bool
    ) -> int:
        """Carry the request on to its answer; returns the exit code."""
        from ..console.planning import planning_view
        from .errors import RUN_FAILED

        if self._model is None:
            self.prepare(known)
        model = self._model
        assert model is not None
        following.how_to_allow, following.ends_with_us = HOW_TO_ALLOW, True
        following.resume_options = self._where
        interactive = not following.as_json and sys.stdin.isatty() and sys.stdout.isatty()
        code = RUN_FAILED
        try:
            async with planning_view(note=following.note, quiet=following.as_json) as view:
                if known.ended:
                    following.only_answer(known.run)
                    with view.phase("answering"):
                        answer = await orchestrator.resume_ask(known.run, model=model, budget=self._budget)
                        following.answered = answer.text is not None
                    code = 0 if answer.report.state == "succeeded" else RUN_FAILED
                    return finished(code, answer, as_json=following.as_json)
                with part.stopped_alone():
                    code, answer = await carry_out(
                        lambda show: orchestrator.resume_asking(
                            known.run,
                            model=model,
                            budget=self._budget,
                            exceptions=interactive,
                            rerun_unknown=rerun_unknown,
                            progress=show,
                        ),
                        following,
                        view,
                        doing="going on",
                    )
                    code = finished(code, answer, as_json=following.as_json)
        finally:
            await model.aclose()
        return code
