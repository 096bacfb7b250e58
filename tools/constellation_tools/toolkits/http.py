"""HTTP requests to allowed hosts."""

from __future__ import annotations

import codecs
import functools
import ssl
from collections.abc import Iterable
from email.message import Message
from typing import Annotated

import anyio
import anyio.to_thread
from pydantic import Field
from typing_extensions import TypedDict

from ..artifact import Artifact
from ..context import ToolContext
from ..errors import ToolTimeout
from ..tool import tool
from ..toolset import Toolset
from .network import AllowList

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
"""The longest body that is accepted unless the owner says otherwise."""

MAX_TIMEOUT_S = 600.0
"""The longest time limit that a caller may ask for."""

_NO_CHARSETS = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
"""Codecs of Python that are no character sets; a long text in some of them takes hours to decode."""

_TEXT_TYPES = ("application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded")

Timeout = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)]


class HttpResponse(TypedDict):
    """A server's answer; the body is in `text` when it is text, else in `file`."""

    status: int
    url: str
    headers: dict[str, str]
    text: str | None
    file: Artifact | None


def http_tools(
    allow_hosts: Iterable[str],
    *,
    max_response_bytes: int = MAX_RESPONSE_BYTES,
    ssl_context: ssl.SSLContext | None = None,
) -> Toolset:
    """Return tools for HTTP requests.

    Args:
        allow_hosts: `example.com` (ports 80 and 443), `example.com:8443`, `*.example.com`, or `*` for any public
            host. Private and loopback addresses are reached only by an entry with name or address and port.
        max_response_bytes: The longest body that is accepted.
        ssl_context: How certificates are checked; against the system's authorities by default.

    Raises:
        ValueError: an entry can't be understood.
    """
    allowed = AllowList(allow_hosts)

    @functools.cache
    def tls() -> ssl.SSLContext:
        return ssl_context or ssl.create_default_context()

    async def send(
        name: str,
        method: str,
        url: str,
        headers: dict[str, str] | None,
        body: str,
        timeout_s: float,
        context: ToolContext,
    ) -> HttpResponse:
        from .http_client import HttpClient  # brings h11, which only requests need

        client = HttpClient(allowed, tls, max_response_bytes)
        with anyio.move_on_after(timeout_s) as scope:
            response = await client.request(method, url, headers=headers, body=body.encode())
        if scope.cancelled_caught:
            raise ToolTimeout(name, timeout_s)
        media_type = response.headers.get("content-type", "")
        text = _text_of(response.body, media_type)
        file = None
        if text is None:
            keep = functools.partial(context.artifact, response.body, media_type=media_type)
            file = await anyio.to_thread.run_sync(keep)
        return {
            "status": response.status,
            "url": response.url,
            "headers": response.headers,
            "text": text,
            "file": file,
        }

    @tool(read_only=True, open_world=True)
    async def http_get(
        context: ToolContext, url: str, headers: dict[str, str] | None = None, timeout_s: Timeout = 30.0
    ) -> HttpResponse:
        """Fetch a URL. Any status is a result; redirects are followed.

        Args:
            context: Keeps a body that is not text.
            url: An http or https URL on an allowed host.
            headers: Request headers by name.
            timeout_s: When to give up, in seconds.
        """
        return await send("http_get", "GET", url, headers, "", timeout_s, context)

    @tool(destructive=True, open_world=True, runs_programs=False)
    async def http_post(
        context: ToolContext,
        url: str,
        body: str = "",
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
        timeout_s: Timeout = 30.0,
    ) -> HttpResponse:
        """Post a text to a URL. Any status is a result; redirects are followed.

        Args:
            context: Keeps a body that is not text.
            url: An http or https URL on an allowed host.
            body: What to post.
            content_type: The MIME type of the body.
            headers: Further request headers by name.
            timeout_s: When to give up, in seconds.
        """
        fields = {"content-type": content_type, **(headers or {})}
        return await send("http_post", "POST", url, fields, body, timeout_s, context)

    return Toolset([http_get, http_post], name="http")


def _text_of(body: bytes, content_type: str) -> str | None:
    """Return a body as text when it is declared to be text, or declares nothing and is UTF-8; else None."""
    message = Message()
    message["content-type"] = content_type or "text/plain"
    media_type = message.get_content_type()
    charset = _known(str(message.get_content_charset("utf-8")))
    is_text = media_type.startswith("text/") or media_type.endswith(("+json", "+xml")) or media_type in _TEXT_TYPES
    if not is_text:
        return None
    try:
        return body.decode(charset, errors="replace" if content_type else "strict")
    except UnicodeDecodeError:
        return None
    except LookupError:  # a codec, but not of text
        return body.decode(errors="replace")


def _known(charset: str) -> str:
    """A character set by the name that a server gives it; UTF-8 where there is none of that name."""
    try:
        found = codecs.lookup(charset).name
    except (LookupError, ValueError):  # the latter for names with a NUL
        return "utf-8"
    return "utf-8" if found.replace("-", "_") in _NO_CHARSETS else found
