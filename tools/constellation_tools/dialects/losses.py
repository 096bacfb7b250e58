"""What becomes of a tool on its way into a provider's dialect, change by change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class LossKind(StrEnum):
    """What has become of a part of a schema."""

    REWRITTEN = "rewritten"
    """Said in another way that means the same."""
    NULLABLE = "nullable"
    """Optional in the tool, required but nullable for the provider; the null is undone before the call."""
    DESCRIBED = "described"
    """Moved into a description: the model reads it, the provider does not enforce it, the tool still does."""
    TEXT = "text"
    """An object or an array that the provider has no schema for: sent as JSON text, parsed before the call."""
    DROPPED = "dropped"
    """Left out because it constrains nothing, as titles do."""
    NARROWED = "narrowed"
    """Some arguments that the tool takes can't be sent."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One change.

    Attributes:
        path: Where, a JSON pointer into the tool's own schema.
        kind: What became of it.
        keyword: The schema keyword that it is about.
        detail: What was done, in words.
    """

    path: str
    kind: LossKind
    keyword: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.keyword} {self.kind}, {self.detail}"


@dataclass(frozen=True, slots=True)
class LossReport:
    """What one tool is like in one dialect.

    Attributes:
        tool: The tool's name.
        dialect: The dialect's name.
        strict: Whether the provider will enforce the schema.
        losses: The changes, in the order of the schema.
        refused: Why the provider can't take the tool at all; None when it can.
        not_strict: Why strict mode was wanted and not used; None when it was used or not wanted.
    """

    tool: str
    dialect: str
    strict: bool
    losses: tuple[Loss, ...] = ()
    refused: str | None = None
    not_strict: str | None = None

    @property
    def lossless(self) -> bool:
        """Whether all arguments that the tool takes can be sent, and all that its schema says is told."""
        return self.refused is None and not any(loss.kind is LossKind.NARROWED for loss in self.losses)

    def __str__(self) -> str:
        return "\n  ".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.refused is not None:
            yield f"{self.tool} in {self.dialect}: refused, {self.refused}"
            return
        how = "strict" if self.strict else "plain"
        yield f"{self.tool} in {self.dialect}: {how}, {'lossless' if self.lossless else 'not lossless'}"
        if self.not_strict is not None:
            yield f"not strict: {self.not_strict}"
        yield from map(str, self.losses)
