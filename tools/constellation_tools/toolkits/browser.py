"""Web pages in Chromium: opened, read, and acted on, within the hosts that may be reached.

Needs the extra `browser` and a Chromium that is installed on the machine. The pages, and what they know, are shared by
all calls of a toolset, and are gone with it.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import anyio
import anyio.to_thread
from pydantic import Field
from typing_extensions import TypedDict

from ..artifact import Artifact
from ..context import ToolContext
from ..errors import ToolFailed
from ..tool import Tool, tool
from ..toolset import Toolset
from .browser_host import BrowserHost
from .browser_program import BrowserSettings
from .confinement import Root
from .network import AllowList
from .processes import ProcessLimits

if TYPE_CHECKING:
    from .browser_session import Session
    from .browser_tab import Tab

MAX_TIMEOUT_S = 600.0
"""The longest time limit that a caller may ask for."""

MAX_READ_CHARACTERS = 200_000
"""The most characters that one call reads."""

MAX_LINKS = 1000
"""The most links that one call lists."""

LIMITS = ProcessLimits(memory_bytes=4 * 1024**3, processes=1024)
"""What all of the browser's processes may use unless the owner says otherwise."""

Timeout = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)]
Ref = Annotated[str, Field(min_length=1)]


class BrowserPage(TypedDict):
    """A page; `notes` are what has happened on it since it was told of last: dialogs, files, refusals, other pages."""

    page: str
    url: str
    title: str
    notes: list[str]


class BrowserText(TypedDict):
    """What was read of a page; there is more when `next_offset` is a number."""

    page: str
    url: str
    title: str
    notes: list[str]
    text: str
    next_offset: int | None


class BrowserLink(TypedDict):
    """A link of a page."""

    text: str
    url: str


class BrowserOpenPage(TypedDict):
    """A page that is open."""

    page: str
    url: str


class BrowserFile(TypedDict):
    """A file that a page has sent; `problem` says why there is none."""

    name: str
    url: str
    file: Artifact | None
    saved_as: str | None
    problem: str | None


class BrowserToolset(Toolset):
    """The tools of one browser. As a context manager, or with `close`, it ends the browser; else the process does."""

    def __init__(self, tools: Iterable[Tool[..., Any]], host: BrowserHost) -> None:
        super().__init__(tools, name="browser")
        self._host = host

    def close(self) -> None:
        """End the browser with all its pages and forget what they know; blocks until all is gone."""
        self._host.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)


def browser_tools(
    allow_hosts: Iterable[str],
    *,
    root: Path | None = None,
    executable: Path | None = None,
    chromium_sandbox: bool | None = None,
    limits: ProcessLimits = LIMITS,
    max_pages: int = 8,
    max_bytes: int = 256 * 1024**2,
    max_file_bytes: int = 64 * 1024**2,
) -> BrowserToolset:
    """Return tools for a browser, which is started at the first call.

    Args:
        allow_hosts: What pages, and all that they load, may reach, in the form that `http_tools` takes.
        root: A directory in which files that pages send may be put; nowhere when None, and they are artifacts.
        executable: The program of Chromium or Chrome; the one on the PATH when None.
        chromium_sandbox: Whether Chromium confines its own processes; when None unless this process is root's,
            for which it doesn't work.
        limits: What all of the browser's processes may use.
        max_pages: How many pages may be open at once.
        max_bytes: How much may be received from the network between one call and the next.
        max_file_bytes: The largest file that is taken from a page.

    Raises:
        ValueError: an entry of `allow_hosts` can't be understood, or the root is not a directory.
        ToolFailed: the extra `browser` is not installed.
    """
    if importlib.util.find_spec("playwright") is None or importlib.util.find_spec("markdownify") is None:
        raise ToolFailed("the browser needs Playwright: install constellation-agents[browser]")
    from .browser_acting import back, click, fill, go, press, read, screenshot, select, told, wait_for
    from .browser_files import save_new, take_files

    allowed = AllowList(allow_hosts)
    inside = None if root is None else Root(root)
    host = BrowserHost(BrowserSettings(allowed, executable, chromium_sandbox, limits, max_pages, max_bytes))

    async def on_page(
        name: str, timeout_s: float, page: str | None, act: Callable[[Session, Tab], Awaitable[None]]
    ) -> BrowserPage:
        async def work(session: Session, tab: Tab) -> BrowserPage:
            await act(session, tab)
            return await told(tab)

        return await host.call(name, timeout_s, page, work)

    @tool(destructive=False, open_world=True, runs_programs=False)
    async def browser_open(url: str, page: str = "", new_page: bool = False, timeout_s: Timeout = 30.0) -> BrowserPage:
        """Open a URL and wait until the page is there; what it says is read with browser_read.

        Args:
            url: An http or https URL on an allowed host.
            page: The page to open it in; the one that was opened last when empty.
            new_page: Whether to open it in a page of its own.
            timeout_s: When to give up, in seconds.
        """
        allowed.check(url)
        return await on_page(
            "browser_open", timeout_s, None if new_page else page, lambda session, tab: go(session, tab, url, timeout_s)
        )

    @tool(read_only=True, open_world=True)
    async def browser_read(
        form: Literal["snapshot", "markdown", "text"] = "snapshot",
        page: str = "",
        offset: Annotated[int, Field(ge=0)] = 0,
        limit: Annotated[int, Field(ge=1, le=MAX_READ_CHARACTERS)] = 20_000,
        timeout_s: Timeout = 30.0,
    ) -> BrowserText:
        """Read a page: as a snapshot of its elements with references to act on, as Markdown, or as plain text.

        Args:
            form: A snapshot has frames as well; Markdown and text are of the page itself.
            page: The page; the one that was opened last when empty.
            offset: How many characters to skip: `next_offset` of the last call to go on.
            limit: The most characters to return.
            timeout_s: When to give up, in seconds.
        """

        async def work(session: Session, tab: Tab) -> BrowserText:
            text = await read(tab, form, timeout_s)
            part = text[offset : offset + limit]
            end = offset + len(part)
            return {**await told(tab), "text": part, "next_offset": end if end < len(text) else None}

        return await host.call("browser_read", timeout_s, page, work)

    @tool(read_only=True, open_world=True)
    async def browser_links(
        page: str = "", limit: Annotated[int, Field(ge=1, le=MAX_LINKS)] = 100, timeout_s: Timeout = 30.0
    ) -> list[BrowserLink]:
        """List the links of a page.

        Args:
            page: The page; the one that was opened last when empty.
            limit: The most links to list.
            timeout_s: When to give up, in seconds.
        """

        async def work(session: Session, tab: Tab) -> list[BrowserLink]:
            return [{"text": link["text"], "url": link["url"]} for link in await tab.links(limit)]

        return await host.call("browser_links", timeout_s, page, work)

    @tool(destructive=True, open_world=True, runs_programs=False)
    async def browser_click(ref: Ref, page: str = "", timeout_s: Timeout = 30.0) -> BrowserPage:
        """Click on an element of a page.

        Args:
            ref: The element's reference in the last snapshot of the page, such as e12.
            page: The page; the one that was opened last when empty.
            timeout_s: When to give up, in seconds.
        """
        return await on_page("browser_click", timeout_s, page, lambda _, tab: click(tab, ref, timeout_s))

    @tool(destructive=True, open_world=True, runs_programs=False)
    async def browser_fill(ref: Ref, text: str, page: str = "", timeout_s: Timeout = 30.0) -> BrowserPage:
        """Put a text into a field of a page, in place of what is there.

        Args:
            ref: The field's reference in the last snapshot of the page, such as e12.
            text: The text.
            page: The page; the one that was opened last when empty.
            timeout_s: When to give up, in seconds.
        """
        return await on_page("browser_fill", timeout_s, page, lambda _, tab: fill(tab, ref, text, timeout_s))

    @tool(destructive=True, open_world=True, runs_programs=False)
    async def browser_select(ref: Ref, options: list[str], page: str = "", timeout_s: Timeout = 30.0) -> BrowserPage:
        """Select options of a list on a page, in place of those that are selected.

        Args:
            ref: The list's reference in the last snapshot of the page, such as e12.
            options: The labels or values of the options.
            page: The page; the one that was opened last when empty.
            timeout_s: When to give up, in seconds.
        """
        return await on_page("browser_select", timeout_s, page, lambda _, tab: select(tab, ref, options, timeout_s))

    @tool(destructive=True, open_world=True, runs_programs=False)
    async def browser_press(key: str, ref: str = "", page: str = "", timeout_s: Timeout = 30.0) -> BrowserPage:
        """Press a key on a page.

        Args:
            key: Such as Enter, Escape, ArrowDown, PageDown, a, or Control+a.
            ref: The element that gets it; the one that has the focus when empty.
            page: The page; the one that was opened last when empty.
            timeout_s: When to give up, in seconds.
        """
        return await on_page("browser_press", timeout_s, page, lambda _, tab: press(tab, key, ref, timeout_s))

    @tool(read_only=True, open_world=True)
    async def browser_wait(
        text: Annotated[str, Field(min_length=1)], gone: bool = False, page: str = "", timeout_s: Timeout = 30.0
    ) -> BrowserPage:
        """Wait until a text is to be seen on a page.

        Args:
            text: The text.
            gone: Whether to wait until it is to be seen no more.
            page: The page; the one that was opened last when empty.
            timeout_s: When to give up, in seconds.
        """
        state: Literal["hidden", "visible"] = "hidden" if gone else "visible"
        return await on_page("browser_wait", timeout_s, page, lambda _, tab: wait_for(tab, text, state, timeout_s))

    @tool(destructive=False, open_world=True, runs_programs=False)
    async def browser_back(page: str = "", timeout_s: Timeout = 30.0) -> BrowserPage:
        """Go back to where a page was before.

        Args:
            page: The page; the one that was opened last when empty.
            timeout_s: When to give up, in seconds.
        """
        return await on_page("browser_back", timeout_s, page, lambda session, tab: back(session, tab, timeout_s))

    @tool(read_only=True, open_world=True)
    async def browser_screenshot(
        context: ToolContext, page: str = "", ref: str = "", full_page: bool = False, timeout_s: Timeout = 30.0
    ) -> Artifact:
        """Take a picture of a page, as a PNG file.

        Args:
            context: Keeps the file.
            page: The page; the one that was opened last when empty.
            ref: An element of which alone to take it.
            full_page: Whether to take all of the page, not what would be seen of it in a window.
            timeout_s: When to give up, in seconds.
        """
        picture = await host.call(
            "browser_screenshot", timeout_s, page, lambda _, tab: screenshot(tab, ref, full_page, timeout_s)
        )
        if len(picture) > max_file_bytes:
            raise ToolFailed(f"the picture takes {len(picture)} bytes, and {max_file_bytes} is the limit")
        keep = functools.partial(context.artifact, picture, name="screenshot.png", media_type="image/png")
        return await anyio.to_thread.run_sync(keep)

    @tool(read_only=True, open_world=False)
    async def browser_pages() -> list[BrowserOpenPage]:
        """List the pages that are open."""

        async def work(session: Session) -> list[BrowserOpenPage]:
            return [{"page": tab.name, "url": tab.url} for tab in session.tabs.values()]

        return await host.ask(work)

    @tool(destructive=False, open_world=True, runs_programs=False)
    async def browser_downloads(
        context: ToolContext, save_in: str | None = None, timeout_s: Timeout = 60.0
    ) -> list[BrowserFile]:
        """Take the files that pages have sent since this was called last; waits for those that are still coming.

        Args:
            context: Keeps the files.
            save_in: A directory, relative to the root of these tools if they have one, to put them into as well.
            timeout_s: When to stop waiting, in seconds.
        """
        if save_in is not None and inside is None:
            raise ToolFailed("these tools have no root to put files into: leave save_in out, and use the artifacts")
        saving = None if inside is None or save_in is None else functools.partial(save_new, inside, save_in)

        async def work(session: Session) -> list[BrowserFile]:
            return await take_files(session, context, saving, max_file_bytes, timeout_s)

        return await host.ask(work)

    @tool(idempotent=True, destructive=True, open_world=False, runs_programs=False)
    async def browser_close(page: str = "") -> None:
        """Close a page; without one all of them, and forget cookies and whatever else pages have kept.

        Args:
            page: The page.
        """
        await host.ask(lambda session: session.close(page))

    tools: list[Tool[..., Any]] = [
        browser_open, browser_read, browser_links, browser_click, browser_fill, browser_select, browser_press,
        browser_wait, browser_back, browser_screenshot, browser_pages, browser_downloads, browser_close,
    ]  # fmt: skip
    return BrowserToolset(tools, host)
