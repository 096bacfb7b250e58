"""What kind of server answers: told from its list of models, which every compatible server has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OWNERS = {
    "vllm": ("vllm", "vllm"),
    "sglang": ("sglang", "sglang"),
    "nvidia": ("dynamo", "dynamo"),
    "llamacpp": ("llamacpp", "plain"),
    "library": ("ollama", "plain"),
    "organization_owner": ("lmstudio", "plain"),
    "openai": ("openai", "openai"),
    "system": ("openai", "openai"),
}
"""What the servers put into `owned_by`, who that is, and the dialect that they understand."""

_LENGTHS = ("max_model_len", "context_window", "n_ctx")
"""What servers call how long a conversation may be: vLLM and SGLang, Dynamo, and llama.cpp, which has it in `meta`."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server has told of itself.

    Attributes:
        kind: What it is, such as `vllm`; `unknown` where it can't be told.
        dialect: The name of the dialect that it understands.
        models: The models that it has.
        context_tokens: How long a conversation may be, by model, where it says so.
    """

    kind: str
    dialect: str
    models: tuple[str, ...]
    context_tokens: Mapping[str, int]


def recognise(listing: Any) -> ServerFacts:
    """What a server's answer to `GET /v1/models` tells of it; what is malformed tells nothing."""
    entries = listing.get("data") if isinstance(listing, dict) else None
    found = [entry for entry in entries or () if isinstance(entry, dict) and isinstance(entry.get("id"), str)]
    owners = {str(entry.get("owned_by", "")).lower() for entry in found}
    kind, dialect = next((_OWNERS[owner] for owner in sorted(owners) if owner in _OWNERS), ("unknown", "plain"))
    lengths = {
        entry["id"]: length
        for entry in found
        for told in (entry, entry.get("meta"))
        if isinstance(told, dict)
        for name in _LENGTHS
        if isinstance(length := told.get(name), int) and not isinstance(length, bool)
    }
    return ServerFacts(kind, dialect, tuple(entry["id"] for entry in found), lengths)
