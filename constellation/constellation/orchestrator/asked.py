"""`ask`, for whatever requests can be carried out at: an orchestrator, or a hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..llm import Model
    from ..planner import Budget
    from .asking import Asking, Progress
    from .intake import Intake
    from .requests import Answer, AskOptions
    from .reviewing import LocalPlace, Place
    from .run_book import RunBook


class CanBeAsked(ABC):
    """Something that carries requests out. The planner is loaded when the first one comes."""

    @property
    @abstractmethod
    def place(self) -> Place:
        """Where they are carried out."""

    async def ask(self, request: str, *, model: Model | str, options: AskOptions | None = None) -> Answer:
        """Have a request planned by a model, carried out on the connected devices, and answered.

        Cancelling it cancels the run, unless the orchestrator itself is closed or cancelled with it.

        Args:
            request: What is wanted, in words.
            model: Who plans and answers, or its string, such as `openai/gpt-5`.
            options: How it is to be carried out.

        Raises:
            PlannerError: no plan came of it; which one says why.
            LLMError: the model does not answer, or can't be opened.
            DevicesMissing: no device is connected.
        """
        async with self.asking(request, model=model, options=options) as asked:
            return await asked.answer()

    def asking(
        self,
        request: str,
        *,
        model: Model | str,
        options: AskOptions | None = None,
        progress: Progress | None = None,
    ) -> AbstractAsyncContextManager[Asking]:
        """Plan a request and start its run, for those who want to follow it; see `ask`.

        Args:
            request: What is wanted, in words.
            model: Who plans and answers, or its string.
            options: How it is to be carried out.
            progress: Shown what the planner lets be known, and how its model gets on, from the beginning.
        """
        from .asking import asking

        return asking(self.place, request, model=model, options=options, progress=progress)

    async def resume_ask(
        self,
        run: str,
        *,
        model: Model | str | None = None,
        budget: Budget | None = None,
        rerun_unknown: bool = False,
        progress: Progress | None = None,
    ) -> Answer:
        """Go on with a request whose process is gone, planner included, and have it answered.

        Where the run has ended meanwhile, the request is answered from what came of it.

        Args:
            run: The run's id, or the beginning of it.
            model: Who goes on, or its string; the one that has planned so far when None.
            budget: What may be used in all, what was used already included; as before when None.
            rerun_unknown: As for `resume`.
            progress: Shown what the planner lets be known, and how its model gets on.

        Raises:
            CannotResume: the run was not made for a request, has its answer, is looked after by somebody, or its model
                is not known.
            LLMError: the model can't be opened.
            RunNotFound, AmbiguousRun: there is no such run.
        """
        from .asking import answer_ended, resume_asking

        known = await self.place.asked(run)
        if known.ended:
            return await answer_ended(self.place, known, model=model, budget=budget, progress=progress)
        async with resume_asking(
            self.place, run, model=model, budget=budget, rerun_unknown=rerun_unknown, progress=progress
        ) as asked:
            return await asked.answer()

    def resume_asking(
        self,
        run: str,
        *,
        model: Model | str | None = None,
        budget: Budget | None = None,
        exceptions: bool | None = None,
        rerun_unknown: bool = False,
        progress: Progress | None = None,
    ) -> AbstractAsyncContextManager[Asking]:
        """The same for those who want to follow a run that goes on; see `resume_ask`.

        Args:
            run: The run's id, or the beginning of it.
            model: Who goes on, or its string; the one that has planned so far when None.
            budget: What may be used in all, what was used already included; as before when None.
            exceptions: Whether a person is asked about edits that the capabilities do not permit; as before when None.
            rerun_unknown: As for `resume`.
            progress: Shown what the planner lets be known, and how its model gets on.
        """
        from .asking import resume_asking

        return resume_asking(
            self.place,
            run,
            model=model,
            budget=budget,
            exceptions=exceptions,
            rerun_unknown=rerun_unknown,
            progress=progress,
        )


def local_place(book: RunBook, intake: Intake) -> LocalPlace:
    """The orchestrator in this process, as a place where requests are carried out."""
    from .reviewing import LocalPlace

    return LocalPlace(book, intake)
