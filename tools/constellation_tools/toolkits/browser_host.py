"""Where a browser lives: a thread with an event loop of its own, from the first call until it is closed.

Playwright needs asyncio and belongs to one loop, and a browser outlives the call that has started it. So calls from
whatever loop, of asyncio or trio, are carried over; a call that is cancelled is cancelled there, and waited for.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio.to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from ..errors import ToolFailed

if TYPE_CHECKING:
    from .browser_program import BrowserSettings
    from .browser_session import Session
    from .browser_tab import Tab

_THREAD = "constellation-browser"

T = TypeVar("T")


class BrowserHost:
    """Starts a session when it is first needed; it ends with `close`, with this object, or with the process."""

    def __init__(self, settings: BrowserSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._closed = False
        self._stack = ExitStack()
        self._session: tuple[BlockingPortal, Session] | None = None
        self._ending = weakref.finalize(self, _end, self._stack)

    async def call(
        self, tool: str, timeout_s: float, page: str | None, work: Callable[[Session, Tab], Awaitable[T]]
    ) -> T:
        """Do something with a page; see `Session.run`."""

        async def run(session: Session) -> T:
            return await session.run(tool, timeout_s, page, lambda tab: work(session, tab))

        return await self.ask(run)

    async def ask(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Do something with the session, in its thread.

        Raises:
            ToolFailed: the toolset has been closed.
        """
        portal, session = await anyio.to_thread.run_sync(self._opened)
        try:
            return await portal.call_async(work, session)
        except RuntimeError as error:
            if self._closed:
                raise ToolFailed("the browser was closed meanwhile") from error
            raise

    def close(self) -> None:
        """End the browser and its thread; it can't be used any more. Blocks until all is gone."""
        with self._lock:
            self._closed = True
            self._ending()

    def _opened(self) -> tuple[BlockingPortal, Session]:
        with self._lock:
            if self._closed:
                raise ToolFailed("the browser tools are closed")
            if self._session is None:
                self._session = self._stack.enter_context(_running(self._settings))
            return self._session


@contextmanager
def _running(settings: BrowserSettings) -> Iterator[tuple[BlockingPortal, Session]]:
    from .browser_session import open_session

    with (
        start_blocking_portal(name=_THREAD) as portal,
        portal.wrap_async_context_manager(open_session(settings)) as session,
    ):
        yield portal, session


def _end(stack: ExitStack) -> None:
    if threading.current_thread().name == _THREAD:  # where garbage may be found as well, and can't wait for itself
        threading.Thread(target=stack.close, daemon=True).start()
    else:
        stack.close()
