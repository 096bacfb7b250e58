"""Credentials: named tokens for single devices and clients, of which only hashes are kept, and what each permits.

A token is 256 random bits behind a public id. Nobody can try out that many, so one round of SHA-256 is enough: a slow
hash makes up for secrets that people choose, and would only give a stranger a way to keep the hub busy. Each entry has
a salt of its own, so that equal hashes in two files say nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from constellation_protocol.messages import DeviceProfile, Identifier, Sha256

from .errors import BadCredential

_TOKEN = re.compile(r"cst_([0-9a-f]{16})_([0-9a-f]{64})")
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class Role(StrEnum):
    """What a credential lets in: a device, which does work, or a client, which asks for it."""

    DEVICE = "device"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Grant:
    """What someone who was let in may do.

    Attributes:
        credential: The id of the credential that was shown; empty for a token of the hub's own.
        tools: Patterns of the tools that a device may offer, as `fnmatch` has them; None for any.
        labels: The labels that a device may claim, with patterns of their values; None for any.
    """

    credential: str = ""
    tools: tuple[str, ...] | None = None
    labels: Mapping[str, str] | None = field(default=None, hash=False)

    def restrict(self, profile: DeviceProfile) -> tuple[DeviceProfile, tuple[str, ...], tuple[str, ...]]:
        """What of a profile may count, and the names of the tools and labels that may not."""
        tools = tuple(tool.name for tool in profile.tools if not self._may_offer(tool.name))
        labels = tuple(name for name, value in profile.labels.items() if not self._may_claim(name, value))
        if not tools and not labels:
            return profile, (), ()
        kept = {
            "tools": tuple(tool for tool in profile.tools if tool.name not in tools),
            "labels": {name: value for name, value in profile.labels.items() if name not in labels},
        }
        return profile.model_copy(update=kept), tools, labels

    def _may_offer(self, tool: str) -> bool:
        return self.tools is None or any(fnmatchcase(tool, pattern) for pattern in self.tools)

    def _may_claim(self, label: str, value: str) -> bool:
        return self.labels is None or (label in self.labels and fnmatchcase(value, self.labels[label]))


class Credential(BaseModel):
    """One entry of the list of credentials; instants are seconds since the Unix epoch, `digest` is in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    name: Identifier
    role: Role
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")
    digest: Sha256
    created_at: float
    expires_at: float | None = None
    tools: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None

    def matches(self, token: str) -> bool:
        """Whether this is its token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(_digest(self.salt, token), self.digest)

    def expired(self, now: float) -> bool:
        """Whether it is worth nothing any more."""
        return self.expires_at is not None and now >= self.expires_at

    def grant(self) -> Grant:
        """What it permits."""
        return Grant(self.id, self.tools, self.labels)


def issue(
    name: str,
    role: Role,
    *,
    now: float,
    expires_s: float | None = None,
    tools: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> tuple[Credential, str]:
    """Make a credential and its token, which is kept nowhere.

    Args:
        name: The device's name, or what the client is called.
        role: Whom it lets in.
        now: Seconds since the Unix epoch.
        expires_s: Seconds after which it is worth nothing; None for never.
        tools: Patterns of the tools that a device may offer; none for any.
        labels: The labels that a device may claim, with patterns of their values; none for any.

    Raises:
        BadCredential: no device can have that name, or a client was given what concerns devices only.
    """
    try:
        _IDENTIFIER.validate_python(name)
    except ValidationError:
        raise BadCredential(
            f"{name!r} can't be the name of a token: use up to 200 letters, digits and . _ : / -, "
            "starting with a letter or digit"
        ) from None
    if role is Role.CLIENT and (tools or labels):
        raise BadCredential("tools and labels are what a device offers: leave them out for a client")
    id, salt = secrets.token_hex(8), secrets.token_hex(16)
    token = f"cst_{id}_{secrets.token_hex(32)}"
    credential = Credential(
        id=id,
        name=name,
        role=role,
        salt=salt,
        digest=_digest(salt, token),
        created_at=now,
        expires_at=None if expires_s is None else now + expires_s,
        tools=tuple(tools) or None,
        labels=dict(labels) if labels else None,
    )
    return credential, token


def token_id(token: str) -> str | None:
    """The public id in a token; None when it is no token of a credential."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match is not None else None


def _digest(salt: str, token: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + token.encode(errors="replace")).hexdigest()
