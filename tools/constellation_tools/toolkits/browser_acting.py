"""What tools do with one page: go somewhere, read it, act on its elements."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import anyio.to_thread
from bs4 import BeautifulSoup
from markdownify import MarkdownConverter
from playwright.async_api import Error, Locator, TimeoutError

from ..errors import ToolFailed
from .browser_session import Session
from .browser_tab import Tab

if TYPE_CHECKING:
    from .browser import BrowserPage

SETTLE_S = 5.0
"""How long to wait for all of a page to be loaded once its document is there."""

_NOT_READ = ("script", "style", "noscript", "template", "svg", "head", "iframe")
_DOWNLOAD = "Download is starting"
_ABORTED = "net::ERR_ABORTED"
_LED_ON = "is interrupted by another navigation"


async def told(tab: Tab) -> BrowserPage:
    """What every result says of its page."""
    title = await tab.title()
    return {"page": tab.name, "url": tab.url, "title": title, "notes": tab.take_notes()}


async def go(session: Session, tab: Tab, url: str, timeout_s: float) -> None:
    """Open a URL.

    Raises:
        Confined: it, or what it leads to, may not be reached.
        ToolFailed: it can't be opened.
    """
    try:
        response = await tab.page.goto(url, wait_until="domcontentloaded", timeout=timeout_s * 1000)
    except TimeoutError:
        raise
    except Error as error:
        if _DOWNLOAD in error.message:
            return
        if _LED_ON not in error.message:
            await _end_of_failure(tab, error)
            raise session.proxy.why(tab.heading) or session.failure(error) from error
        response = None  # a script of the page went elsewhere at once; notes tell what did not get through
        await tab.page.wait_for_load_state("domcontentloaded", timeout=timeout_s * 1000)
    if response is not None and response.status >= 400:
        tab.note(f"the server answered with status {response.status}")
    await _settle(tab)


async def back(session: Session, tab: Tab, timeout_s: float) -> None:
    """Go back in the page's history.

    Raises:
        Confined: what was there may not be reached.
        ToolFailed: there is nothing, or it can't be opened.
    """
    before = tab.page.url
    try:
        response = await tab.page.go_back(wait_until="domcontentloaded", timeout=timeout_s * 1000)
    except TimeoutError:
        raise
    except Error as error:
        await _end_of_failure(tab, error)
        raise session.proxy.why(tab.heading) or session.failure(error) from error
    if response is None and tab.page.url == before:
        raise ToolFailed("there is nothing to go back to on this page")
    await _settle(tab)


async def read(tab: Tab, form: Literal["snapshot", "markdown", "text"], timeout_s: float) -> str:
    """A page as text of one form or another.

    Raises:
        ToolFailed: it can't be said as Markdown.
    """
    if form == "snapshot":
        return await tab.snapshot(timeout_s)
    if form == "text":
        return await tab.text()
    return await anyio.to_thread.run_sync(_markdown, await tab.html())


async def click(tab: Tab, ref: str, timeout_s: float) -> None:
    """Click on an element."""
    await (await _element(tab, ref)).click(timeout=timeout_s * 1000)
    await _settle(tab)


async def fill(tab: Tab, ref: str, text: str, timeout_s: float) -> None:
    """Put a text into a field."""
    await (await _element(tab, ref)).fill(text, timeout=timeout_s * 1000)


async def select(tab: Tab, ref: str, options: list[str], timeout_s: float) -> None:
    """Select options of a list."""
    await (await _element(tab, ref)).select_option(options, timeout=timeout_s * 1000)
    await _settle(tab)


async def press(tab: Tab, key: str, ref: str, timeout_s: float) -> None:
    """Press a key."""
    if ref:
        await (await _element(tab, ref)).press(key, timeout=timeout_s * 1000)
    else:
        await tab.page.keyboard.press(key)
    await _settle(tab)


async def wait_for(tab: Tab, text: str, state: Literal["visible", "hidden"], timeout_s: float) -> None:
    """Wait until a text is to be seen, or no more."""
    await tab.page.get_by_text(text).first.wait_for(state=state, timeout=timeout_s * 1000)


async def screenshot(tab: Tab, ref: str, full_page: bool, timeout_s: float) -> bytes:
    """A picture of a page or an element, as PNG."""
    if ref:
        return await (await _element(tab, ref)).screenshot(timeout=timeout_s * 1000)
    return await tab.page.screenshot(full_page=full_page, timeout=timeout_s * 1000)


async def _element(tab: Tab, ref: str) -> Locator:
    found = tab.element(ref)
    if await found.count() == 0:
        raise ToolFailed(f"there is no element {ref} any more, or not yet: read the page as a snapshot again")
    return found


async def _settle(tab: Tab) -> None:
    """Wait a little until all of a page is loaded; what takes longer is told."""
    try:
        await tab.page.wait_for_load_state("load", timeout=SETTLE_S * 1000)
    except TimeoutError:
        tab.note("parts of the page are still being loaded")


async def _end_of_failure(tab: Tab, error: Error) -> None:
    """Wait for what Chromium shows in place of a page that it can't have, lest it come in between the next page."""
    if _ABORTED not in error.message:
        with suppress(Error):  # there is no such thing to wait for
            await tab.page.wait_for_url("chrome-error://**", wait_until="commit", timeout=SETTLE_S * 1000)


def _markdown(html: str) -> str:
    try:
        soup = BeautifulSoup(html, "html.parser")
        for element in soup(_NOT_READ):
            element.decompose()
        text = MarkdownConverter(heading_style="ATX").convert_soup(soup)
    except RecursionError as error:
        raise ToolFailed("the page is nested too deeply to be said as Markdown: read it as text") from error
    return "\n".join(line.rstrip() for line in str(text).strip().splitlines())
