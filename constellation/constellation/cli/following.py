"""Showing a run at the terminal, in a pipe or as JSON, and telling what to do when it was stopped or broke off."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import RUN_FAILED, RunBroken, is_users, leaves, told
from .options import Approve

if TYPE_CHECKING:
    from ..console.approvals import Approver
    from ..console.follow import Screen
    from ..orchestrator.run import Run

ReportWriter = Callable[["Run", Path], Awaitable[None]]
"""Writes the report of a run to a file; raises OSError."""

STOPPED = 128
"""Exit codes above this are of commands that were stopped by a signal."""

CUT_OFF = "what was cut off is run again if it is idempotent; for other work add --rerun-unknown or --fail-unknown"
"""Said before a run is resumed: a star that has failed then is not run again by resuming once more."""


@dataclass(slots=True)
class Following:
    """How a run is to be shown, and how to take it up again.

    Attributes:
        as_json: Whether to print JSON lines and nothing else.
        approve: What becomes of approvals.
        report: Where to write the report.
        write: Writes it; the general one unless an application has its own.
        resume_options: What has to stand on the command line of `constellation resume`, besides the run.
        lasting: Whether the run is in a journal that outlives this process.
        at_hub: Whether a hub carries the run out, which goes on when this process ends.
        how_to_allow: What is said where nobody can be asked.
        ends_with_us: Whether the run is cancelled when the command is stopped.
        run_id: The run, once it is known.
        answered: Whether the request that the run was made for has been answered.
    """

    as_json: bool = False
    approve: Approve = Approve.ASK
    report: Path | None = None
    write: ReportWriter | None = None
    resume_options: Sequence[str] = ()
    lasting: bool = True
    at_hub: bool = False
    how_to_allow: str | None = None
    ends_with_us: bool = False
    run_id: str | None = None
    answered: bool = False
    _held_back: list[str] | None = field(default=None, init=False)
    _begun: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    async def follow(self, run: Run) -> int:
        """Show a run to its end and return the exit code.

        Raises:
            RunBroken: it can't be followed to its end.
            OutputClosed: the reader of the output has gone away.
        """
        self.run_id, self._begun = run.id, True
        try:
            return await self._follow(run)
        except Exception as error:
            causes = list(leaves(error))
            if not all(is_users(cause) for cause in causes):
                raise
            reasons = dict.fromkeys(line for cause in causes for line in told(cause))
            # A hub that is out of reach can't be told to end the run, and goes on with it.
            ended = self._ended or (self.ends_with_us and not self.at_hub)
            hint = "the run itself has ended" if ended else self.how_to_resume()
            raise RunBroken(f"run {run.id}: {'; '.join(reasons)}; {hint}") from error

    async def _follow(self, run: Run) -> int:
        from ..console.follow import follow
        from ..console.output import Printer
        from ..console.summary import summarise

        write = None if self.report is None else partial(self._write_report, run, self.report)
        try:
            async with self._screen() as (screen, suspended):
                report, path = await follow(run, screen, self._approver(suspended), note=self.note, write_report=write)
        finally:
            self._release_notes()
        self._ended = True
        if not self.as_json:
            printer = Printer()
            for line in summarise(report, report_file=path):
                printer.line(line)
        return 0 if report.state == "succeeded" else RUN_FAILED

    def only_answer(self, run: str) -> None:
        """Take in that a run has ended already, and that only the answer to its request is missing."""
        self.run_id, self._ended = run, True

    def after(self, code: int) -> int:
        """Say what a stopped run has come to; returns the code."""
        if code > STOPPED:
            for line in self._when_stopped():
                _tell(line)
        return code

    def _when_stopped(self) -> list[str]:
        if self.run_id is None:
            return ["stopped before the run had begun"]
        if self._ended and self.ends_with_us and not self.answered and self.lasting:
            return [f"stopped; run {self.run_id} has ended; have it answered with: {self._resume_command()}"]
        if self._ended:
            return [f"stopped; run {self.run_id} has ended"]
        if self._begun and self.ends_with_us:
            return [f"stopped; run {self.run_id} was cancelled; see it with: {self._show_command()}"]
        if self.at_hub:
            return [f"stopped watching; the run goes on at the hub; see it with: {self._resume_command()}"]
        return [f"stopped; {self.how_to_resume()}", *([CUT_OFF] if self.lasting else ())]

    def how_to_resume(self) -> str:
        """How to take the run up again, in words."""
        if not self.lasting:
            return "its journal was in memory only, so it can't be resumed"
        return f"resume it with: {self._resume_command()}"

    def _resume_command(self) -> str:
        return shlex.join(["constellation", "resume", self.run_id or "", *self.resume_options])

    def _show_command(self) -> str:
        return shlex.join(["constellation", "story", self.run_id or "", *self.resume_options])

    # --- parts -------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _screen(self) -> AsyncIterator[tuple[Screen, Callable[[], AbstractContextManager[None]]]]:
        from ..console.output import is_live_terminal

        if self.as_json:
            from ..console.jsonl import JsonLines

            yield JsonLines(), nullcontext
        elif is_live_terminal():
            from ..console.live import live_view

            self._held_back = []
            async with live_view() as view:
                yield view, view.suspended
        else:
            from ..console.plain import PlainLines

            yield PlainLines(), nullcontext

    def _approver(self, suspended: Callable[[], AbstractContextManager[None]]) -> Approver:
        from ..console.approvals import HOW_TO_ALLOW, Answer, AnswerAll, AskAtTerminal

        by = _person()
        if self.approve is Approve.ALL:
            return AnswerAll(Answer(True, by, "approved by --approve all"))
        if self.approve is Approve.NONE:
            return AnswerAll(Answer(False, by, "refused by --approve none"))
        if self.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return AnswerAll(Answer(False, by, self.how_to_allow or HOW_TO_ALLOW), note=self.note)
        return AskAtTerminal(by=by, suspended=suspended)

    async def _write_report(self, run: Run, path: Path) -> Path:
        from ..console.report import write_report

        self._ended = True
        if self.write is not None:
            await self.write(run, path)
        else:
            write_report(await run.wait(), await run.graph(), path)
        return path

    def note(self, text: str) -> None:
        """Say something to the person, beside what is shown of the run."""
        if self._held_back is None:
            _tell(text)
        else:  # a line written now would tear the picture
            self._held_back.append(text)

    def _release_notes(self) -> None:
        held_back, self._held_back = self._held_back or [], None
        for text in held_back:
            _tell(text)


def _person() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        return "someone at the terminal"


def _tell(text: str) -> None:
    from ..console.sanitise import visible

    sys.stderr.write(visible(text) + "\n")
    sys.stderr.flush()
