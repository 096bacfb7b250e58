"""Values of an answer as servers shape them: text in parts, arguments as objects, halves of characters."""

from __future__ import annotations

import json
from typing import Any


def text_of(value: Any) -> str:
    """A value that has to be text; empty where it is left out.

    Raises:
        TypeError: it is something else.
    """
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError(f"{type(value).__name__} in the place of text")


def content_of(content: Any) -> tuple[str, str]:
    """What is said and what is thought: content is text, or a list of parts of which each is one or the other.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(content, list):
        return text_of(content), ""
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "thinking":
            thoughts.append(content_of(part.get("thinking"))[0])
        else:
            texts.append(text_of(part.get("text") or part.get("refusal")))
    return "".join(texts), "".join(thoughts)


def arguments_of(value: Any) -> str:
    """The arguments of a call, JSON; some servers give the object itself.

    Raises:
        TypeError: they are neither.
    """
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else text_of(value)


def encodable(text: str) -> str:
    """The text such that it can be written as UTF-8: halves of a character are joined, and replaced where one is alone.

    A server that cuts its text anywhere sends a character beyond the first 65,536 as two halves.
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
