"""A browser with its pages, on Playwright and its own event loop: started at the first call, and anew when it ended.

Every call goes through `Session.run`: one at a time on each page, within a time limit, with the proxy's bytes filled
up. A page that does not come back within its time is closed, and a browser that does not even do that is ended.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup
from playwright.async_api import (
    Browser,
    BrowserContext,
    Dialog,
    Download,
    Error,
    Frame,
    Page,
    Request,
    TimeoutError,
    WebSocket,
    async_playwright,
)

from ..errors import ToolFailed, ToolTimeout
from ..wording import cleaned
from .browser_program import BrowserSettings, Launcher, find_chromium, launcher
from .browser_tab import NOTE_CHARACTERS, Tab
from .proxy import CheckingProxy

LAUNCH_S = 60.0
"""How long the browser may take to start."""

CLOSE_S = 5.0
"""How long a page or the browser may take to close before it is ended the hard way."""

GRACE_S = 2.0
"""How long a call may go on after its time, in which Playwright should have noticed by itself."""

MAX_DOWNLOADS = 20
"""How many files may wait to be taken."""

# All but the connection to the proxy itself is refused a look at the network: names are not resolved, and what has
# protocols of its own over UDP is not let out beside the proxy.
_ARGUMENTS = (
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
)
_PAGE_SCHEMES = ("http", "https", "about", "blob", "chrome-error")

T = TypeVar("T")


@asynccontextmanager
async def open_session(settings: BrowserSettings) -> AsyncIterator[Session]:
    """Prepare a session, without a browser yet; afterwards nothing of it is left."""
    with tempfile.TemporaryDirectory(prefix="constellation-browser-", ignore_cleanup_errors=True) as folder:
        async with anyio.create_task_group() as group:
            proxy = CheckingProxy(settings.allowed, settings.max_bytes)
            port = await group.start(proxy.serve)
            session = Session(settings, Path(folder), group, proxy, port)
            try:
                yield session
            finally:
                await session.end()
                group.cancel_scope.cancel()


class Session:
    """What tools ask of the browser.

    Attributes:
        settings: What it was made with.
        proxy: What all traffic goes through.
        tabs: The pages that are open, by name.
        downloads: Files that pages have offered and nobody has taken.
    """

    def __init__(
        self, settings: BrowserSettings, folder: Path, group: TaskGroup, proxy: CheckingProxy, port: int
    ) -> None:
        self.settings = settings
        self.proxy = proxy
        self.tabs: dict[str, Tab] = {}
        self.downloads: list[Download] = []
        self._folder = folder
        self._group = group
        self._port = port
        self._starting = anyio.Lock()
        self._running: AsyncExitStack | None = None
        self._browser: Browser | None = None
        self._context: BrowserContext | None = None
        self._launcher: Launcher | None = None
        self._pages = 0
        self._starts = 0

    async def run(self, tool: str, timeout_s: float, page: str | None, work: Callable[[Tab], Awaitable[T]]) -> T:
        """Do something with a page within a time.

        Args:
            tool: Who asks, for messages.
            timeout_s: The time.
            page: The name of the page; the one that was opened last when empty; a new one when None or there is none.
            work: Does it.

        Raises:
            ToolTimeout: it took too long.
            ToolFailed: there is no such page, or the browser says why it can't be done.
        """
        self.proxy.refill()
        used: Tab | None = None
        with anyio.move_on_after(timeout_s + GRACE_S):
            is_new = page is None or not (page or self.tabs)
            try:
                tab = await self.new_tab() if is_new else self._named(page or "")
                async with tab.lock:
                    used = tab
                    return await work(tab)
            except TimeoutError as error:
                raise ToolTimeout(tool, timeout_s) from error
            except Error as error:
                raise self.failure(error) from error
            except anyio.get_cancelled_exc_class():
                if is_new and used is not None:
                    await self.close_tab(used)
                raise
        if used is not None:
            await self.close_tab(used)
        raise ToolTimeout(tool, timeout_s)

    def failure(self, error: Error) -> ToolFailed:
        """What went wrong in the browser, as an error of a tool."""
        if self._browser is None or not self._browser.is_connected():
            limit = None if self._launcher is None else self._launcher.exceeded()
            used = "" if limit is None else f": it used too much of its {limit}"
            return ToolFailed(f"the browser has ended{used}; its pages are gone, and the next call starts it anew")
        first = error.message.partition("\nCall log")[0].strip()
        return ToolFailed(f"the browser says: {cleaned(re.sub(r'^[A-Z][A-Za-z]+.[a-z_A-Z]+: ', '', first), 500)}")

    async def new_tab(self) -> Tab:
        """Open an empty page, in a browser that is started if there is none.

        Raises:
            ToolFailed: the browser can't be started, or there are too many pages.
        """
        if len(self.tabs) >= self.settings.max_pages:
            raise ToolFailed(f"there are {len(self.tabs)} pages, and no more may be open: close one with browser_close")
        context = await self._started()
        page = await context.new_page()
        return next(tab for tab in self.tabs.values() if tab.page is page)

    async def close(self, page: str) -> None:
        """Close a page by its name, or all of them and the browser.

        Raises:
            ToolFailed: there is no such page.
        """
        await (self.close_tab(self._named(page)) if page else self.end())

    async def close_tab(self, tab: Tab) -> None:
        """Close a page; where it does not let itself be closed, end the browser."""
        with anyio.CancelScope(shield=True):
            self.tabs.pop(tab.name, None)
            try:
                with anyio.fail_after(CLOSE_S):
                    await tab.page.close()
            except Error:  # it is closed already
                return
            except BaseException:
                await self.end()
                raise

    async def end(self) -> None:
        """End the browser, if it runs, and forget all about it."""
        with anyio.CancelScope(shield=True):
            running, self._running = self._running, None
            self._browser = self._context = None
            self.tabs.clear()
            self.downloads.clear()
            if running is not None:
                await running.aclose()

    async def _started(self) -> BrowserContext:
        async with self._starting:
            if self._browser is not None and not self._browser.is_connected():
                await self.end()
            if self._context is None:
                with anyio.CancelScope(shield=True):  # half a browser can't be ended
                    await self._start()
            assert self._context is not None
            return self._context

    async def _start(self) -> None:
        program = await anyio.to_thread.run_sync(find_chromium, self.settings.executable)
        self._starts += 1
        folder = self._folder / str(self._starts)
        folder.mkdir(mode=0o700)
        async with AsyncExitStack() as stack:
            made = stack.enter_context(launcher(program, folder, self.settings.limits))
            driver = await stack.enter_async_context(async_playwright())
            sandbox = self.settings.chromium_sandbox
            try:
                browser = await driver.chromium.launch(
                    executable_path=made.script,
                    env=dict(made.env),
                    args=list(_ARGUMENTS),
                    # Chromium's own blocker keeps pages from opening others unless somebody has clicked.
                    ignore_default_args=["--disable-popup-blocking"],
                    proxy={"server": f"http://127.0.0.1:{self._port}"},
                    chromium_sandbox=os.geteuid() != 0 if sandbox is None else sandbox,
                    artifacts_dir=folder / "files",
                    handle_sighup=False,
                    handle_sigint=False,
                    handle_sigterm=False,
                    timeout=LAUNCH_S * 1000,
                )
            except Error as error:
                raise ToolFailed(_why_not_started(program, error)) from error
            stack.push_async_callback(_close, browser)
            self._browser, self._launcher = browser, made
            self._context = await browser.new_context(accept_downloads=True, service_workers="block")
            self._watch(self._context)
            self._running = stack.pop_all()

    def _watch(self, context: BrowserContext) -> None:
        context.on("page", self._page_opened)
        context.on("dialog", lambda dialog: self._group.start_soon(self._dismiss, dialog))
        context.on("requestfailed", self._request_failed)
        context.on("download", self._download_offered)

    def _page_opened(self, page: Page) -> None:
        if len(self.tabs) >= self.settings.max_pages:
            for tab in self.tabs.values():
                tab.note("a page wanted to open another one, and there are too many")
            self._group.start_soon(_close, page)
            return
        self._pages += 1
        tab = Tab(f"p{self._pages}", page)
        for other in self.tabs.values():
            other.note(f"another page was opened: {tab.name}")
        self.tabs[tab.name] = tab
        page.on("request", lambda request: self._heading(tab, request))
        page.on("close", lambda _: self._page_closed(tab))
        page.on("crash", lambda _: tab.note("the page crashed; open it again"))
        page.on("framenavigated", lambda frame: self._navigated(tab, frame))
        page.on("websocket", lambda socket: socket.on("socketerror", lambda _: self._socket_failed(tab, socket)))

    def _page_closed(self, tab: Tab) -> None:
        self.tabs.pop(tab.name, None)

    def _heading(self, tab: Tab, request: Request) -> None:
        if request.is_navigation_request() and request.frame.parent_frame is None:
            tab.heading = request.url

    def _navigated(self, tab: Tab, frame: Frame) -> None:
        scheme = urlsplit(frame.url).scheme
        if frame.parent_frame is None and scheme not in _PAGE_SCHEMES:
            tab.note(f"the page went to a {scheme}: URL, which is none for pages here, and was closed")
            self._group.start_soon(self.close_tab, tab)

    async def _dismiss(self, dialog: Dialog) -> None:
        tab = self._tab_of(dialog.page)
        is_leaving = dialog.type == "beforeunload"
        if tab is not None and not is_leaving:
            tab.note(f"the page asked ({dialog.type}), and was dismissed: {dialog.message[:NOTE_CHARACTERS]}")
        with suppress(Error):  # the page is gone, and its dialog with it
            await (dialog.accept() if is_leaving else dialog.dismiss())

    def _request_failed(self, request: Request) -> None:
        refusal = self.proxy.why(request.url)
        if refusal is not None:
            try:
                page = request.frame.page
            except Error:  # it is of no frame
                page = None
            tab = self._tab_of(page)
            if tab is not None:
                tab.note(f"a request did not get through: {refusal}")

    def _socket_failed(self, tab: Tab, socket: WebSocket) -> None:
        refusal = self.proxy.why(socket.url)
        if refusal is not None:
            tab.note(f"a WebSocket did not get through: {refusal}")

    def _download_offered(self, download: Download) -> None:
        tab = self._tab_of(download.page)
        name = download.suggested_filename[:NOTE_CHARACTERS]
        if len(self.downloads) >= MAX_DOWNLOADS:
            self._group.start_soon(_cancel, download)
            said = f"the file {name} was not taken, there are too many: take those with browser_downloads"
        else:
            self.downloads.append(download)
            said = f"the page sends the file {name}: take it with browser_downloads"
        if tab is not None:
            tab.note(said)

    def _named(self, name: str) -> Tab:
        if not name:
            return list(self.tabs.values())[-1]
        if name not in self.tabs:
            raise ToolFailed(f"there is no page {name[:40]!r}; there are: {', '.join(self.tabs) or 'none'}")
        return self.tabs[name]

    def _tab_of(self, page: Page | None) -> Tab | None:
        return next((tab for tab in self.tabs.values() if tab.page is page), None)


def _why_not_started(program: Path, error: Error) -> str:
    lines = [line.strip() for line in error.message.splitlines()]
    said = next((line for line in lines if "sandbox" in line.lower()), lines[0])
    return (
        f"the browser {program} can't be started: {cleaned(said, 500)}; where Chromium's sandbox does not work, "
        "chromium_sandbox=False does without"
    )


async def _close(thing: Browser | Page) -> None:
    with anyio.move_on_after(CLOSE_S), suppress(Error):  # it has ended by itself
        await thing.close()


async def _cancel(download: Download) -> None:
    with suppress(Error):  # its page is gone, and it with it
        await download.cancel()
