"""`ask`, for whatever requests can be carried out at: an orchestrator, or a hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..llm import Model
    from ..planner import Remark
    from .asking import Answer, Asking, AskOptions
    from .intake import Intake
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
        progress: Callable[[Remark], None] | None = None,
    ) -> AbstractAsyncContextManager[Asking]:
        """Plan a request and start its run, for those who want to follow it; see `ask`.

        Args:
            request: What is wanted, in words.
            model: Who plans and answers, or its string.
            options: How it is to be carried out.
            progress: Shown what the planner lets be known, from the beginning.
        """
        from .asking import asking

        return asking(self.place, request, model=model, options=options, progress=progress)


def local_place(book: RunBook, intake: Intake) -> LocalPlace:
    """The orchestrator in this process, as a place where requests are carried out."""
    from .reviewing import LocalPlace

    return LocalPlace(book, intake)
