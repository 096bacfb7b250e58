"""One page of a browser: what can be read of it, what can be done to it, and what happens on it meanwhile.

Text is read in a world of its own, whose objects the page's scripts can't reach, and cut there, before it is sent.
"""

from __future__ import annotations

import json
import re
from collections import deque
from contextlib import suppress
from typing import cast

import anyio
from playwright.async_api import CDPSession, Error, Locator, Page

from ..errors import ToolFailed
from ..wording import cleaned

MAX_CHARACTERS = 4 * 1024 * 1024
"""How much text or HTML of a page is looked at."""

MAX_NOTES = 20
"""How many of the last things that happened on a page are kept."""

NOTE_CHARACTERS = 300
"""How long what a page says of itself may be: a title, a dialog's words."""

URL_CHARACTERS = 2000
"""How much of a URL is told."""

FRAMES_S = 5.0
"""How long a snapshot waits for frames, of which some never answer: those that were not let through."""

DETACH_S = 1.0
"""How long to wait for a page to let go of whoever has read it."""

_REF = re.compile(r"(f[0-9]+)?e[0-9]+")
_MOVED_ON = re.compile(r"Cannot find context with specified id|Execution context was destroyed")
_EXPRESSIONS = {
    "text": "document.body ? document.body.innerText : ''",
    "html": "document.documentElement ? document.documentElement.outerHTML : ''",
}
_LINKS = """
Array.from(document.links).slice(0, {count}).map(link =>
  ({{text: link.innerText.trim().slice(0, {text}), url: link.href.slice(0, {url})}}))
"""


class Tab:
    """A page, under the name that tools know it by.

    Attributes:
        name: Such as `p1`.
        page: The page in Playwright.
        lock: Held by the call that uses it.
        heading: The URL that it went to last, whether it got there or not.
    """

    def __init__(self, name: str, page: Page) -> None:
        self.name = name
        self.page = page
        self.lock = anyio.Lock()
        self.heading = ""
        self._notes: deque[str] = deque(maxlen=MAX_NOTES)

    def note(self, text: str) -> None:
        """Keep what happened, to be told with the next result; the same thing is told once."""
        text = cleaned(text, NOTE_CHARACTERS)
        if text not in self._notes:
            self._notes.append(text)

    def take_notes(self) -> list[str]:
        """What happened since this was asked last."""
        notes = list(self._notes)
        self._notes.clear()
        return notes

    @property
    def url(self) -> str:
        """Where it is."""
        return cleaned(self.page.url, URL_CHARACTERS)

    async def title(self) -> str:
        """What the page is called."""
        return cleaned(str(await self._evaluate(f"document.title.slice(0, {NOTE_CHARACTERS})")), NOTE_CHARACTERS)

    def element(self, ref: str) -> Locator:
        """The element that the last snapshot gave a reference.

        Raises:
            ToolFailed: it is no reference.
        """
        if not _REF.fullmatch(ref):
            raise ToolFailed(f"{ref[:40]!r} is no reference to an element: read the page as a snapshot, which has them")
        return self.page.get_by_ref(ref)

    async def snapshot(self, timeout_s: float) -> str:
        """The page as assistive technology sees it, frames included, with references to elements."""
        text = await self.page.aria_snapshot(mode="ai", timeout=min(timeout_s, FRAMES_S) * 1000)
        return text[:MAX_CHARACTERS]

    async def text(self) -> str:
        """The text that can be seen, of the page without its frames."""
        return str(await self._evaluate(f"({_EXPRESSIONS['text']}).slice(0, {MAX_CHARACTERS})"))

    async def html(self) -> str:
        """The page as HTML, as it is now."""
        return str(await self._evaluate(f"({_EXPRESSIONS['html']}).slice(0, {MAX_CHARACTERS})"))

    async def links(self, count: int) -> list[dict[str, str]]:
        """The first links of the page, with their text."""
        asked = _LINKS.format(count=count, text=NOTE_CHARACTERS, url=URL_CHARACTERS)
        found = json.loads(str(await self._evaluate(f"JSON.stringify({asked})")))
        return [{key: cleaned(value, URL_CHARACTERS) for key, value in link.items()} for link in found]

    async def _evaluate(self, expression: str) -> object:
        while True:
            try:
                return await self._evaluate_once(expression)
            except Error as error:
                if not _MOVED_ON.search(error.message):
                    raise  # else it left for another page while it was asked, and that one is asked

    async def _evaluate_once(self, expression: str) -> object:
        session = await self.page.context.new_cdp_session(self.page)
        try:
            tree = await session.send("Page.getFrameTree")
            made = await session.send("Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"]})
            answer = await session.send(
                "Runtime.evaluate",
                {"expression": expression, "contextId": made["executionContextId"], "returnByValue": True},
            )
        finally:
            with anyio.CancelScope(shield=True):
                await _detach(session)
        if "exceptionDetails" in answer:
            raise ToolFailed(f"the page can't be read: {answer['exceptionDetails'].get('text', '')}")
        return cast("object", answer["result"].get("value", ""))


async def _detach(session: CDPSession) -> None:
    with anyio.move_on_after(DETACH_S), suppress(Error):  # its page is gone, and it with it
        await session.detach()
