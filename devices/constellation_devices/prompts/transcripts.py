"""Transcripts: the conversation of each prompt in a file of its own, for whoever wants to know what the model did.

A file holds a saved conversation, which `constellation.llm.Conversation.from_json` reads; secrets are taken out of it,
and its size is bounded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from constellation.llm import Conversation, File, Image, Message, Part, Text, ToolResult, ToolUse
from constellation.llm.scrubbing import scrub

MAX_PART_CHARS = 20_000
MAX_MESSAGES = 400
_KEPT_AT_THE_BEGINNING = 20


def transcript(messages: Sequence[Message], secrets: Iterable[str]) -> bytes:
    """The document: long parts are cut, of very many messages the middle is left out, secrets and files are gone."""
    known = list(secrets)
    if len(messages) > MAX_MESSAGES:
        late = messages[len(messages) - MAX_MESSAGES + _KEPT_AT_THE_BEGINNING :]
        note = Message("user", (Text(f"[{len(messages) - MAX_MESSAGES} messages left out]"),))
        messages = [*messages[:_KEPT_AT_THE_BEGINNING], note, *late]
    kept = [replace(message, parts=tuple(_kept(part) for part in message.parts)) for message in messages]
    return scrub(Conversation(kept).to_json().decode(), known).encode()


def write_transcript(folder: Path, attempt: str, document: bytes) -> Path:
    """Write a transcript for its owner's eyes only, and return where it is.

    Raises:
        OSError: it can't be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The id comes from elsewhere: what could lead out of the folder is replaced, and the digest keeps names apart.
    digest = blake2b(attempt.encode("utf-8", "replace"), digest_size=4).hexdigest()
    path = folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', attempt)[:150]}-{digest}.json"
    with open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(document)
    return path


def _kept(part: Part) -> Part:
    match part:
        case Text():
            return replace(part, text=_cut(part.text))
        case ToolUse():
            return replace(part, arguments=_cut(part.arguments))
        case ToolResult():
            content = tuple(_kept_content(each) for each in part.content)
            return replace(part, content=content)
        case Image() | File():
            return _left_out(part)
        case _:
            return replace(part, text=_cut(part.text), opaque=())


def _kept_content(part: Text | Image) -> Text | Image:
    return replace(part, text=_cut(part.text)) if isinstance(part, Text) else _left_out(part)


def _left_out(part: Image | File) -> Text:
    return Text(f"[a file of the type {part.media_type} left out]")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_PART_CHARS else f"{text[:MAX_PART_CHARS]}… ({len(text) - MAX_PART_CHARS} more)"
