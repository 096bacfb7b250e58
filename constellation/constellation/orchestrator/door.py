"""Who is let in: the hub's own tokens, the credentials that the user has made, and the certificates shown with them."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio

from constellation_protocol.errors import Refused
from constellation_protocol.messages import Hello
from constellation_protocol.transport import Peer

from .credentials import Credential, Grant, Role, token_id
from .errors import TokensUnreadable
from .token_store import TokenStore

WATCH_S = 0.25
"""How often the list of credentials is looked at, by one `stat`, for those that were revoked, in seconds."""

_NOBODY: Mapping[str, Credential] = {}

_log = logging.getLogger(__name__)


class Door:
    """Lets devices and clients in by the tokens that they show.

    A name for which there is a token, issued here or by the user, is open to that token alone; any other name to
    whoever shows the hub's token.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._shared: str | None = None
        self._issued: dict[str, str] = {}
        self._store: TokenStore | None = None
        self._seen: Mapping[str, Credential] = _NOBODY

    def allow(self, token: str) -> None:
        """Let in whoever shows this token, as a client or as a device of any name that has no token of its own."""
        self._shared = token

    def open_to(self, path: Path) -> None:
        """Let in whoever shows the token of a credential in this file, which may change; raises TokensUnreadable."""
        self._store = TokenStore(path)
        self._seen = self._store.credentials()

    def issue_token(self, device: str) -> str:
        """Make a token that lets the device of this name in, or give the one it has."""
        return self._issued.setdefault(device, secrets.token_urlsafe(32))

    def take_back(self, tokens: Mapping[str, str]) -> None:
        """Let devices in by the tokens that an earlier orchestrator has issued."""
        self._issued.update(tokens)

    @property
    def issued(self) -> Mapping[str, str]:
        """The tokens that were issued here, by device."""
        return dict(self._issued)

    def device(self, hello: Hello, peer: Peer) -> Grant:
        """What the device on a new connection may do; raises Refused when it is not let in."""
        token = hello.token or ""
        self._check_certificate(hello.device, peer)
        credentials = self._look()
        shown = self._shown(credentials, token)
        if shown is not None and shown.role is Role.DEVICE and shown.name == hello.device:
            return shown.grant()
        expected = self._issued.get(hello.device)
        if expected is None and not _named(credentials, hello.device):
            expected = self._shared
        if shown is None and expected is not None and _equal(token, expected):
            return Grant()
        raise Refused("authentication", f"the token is not valid for a device named {hello.device!r}")

    def client(self, token: str, peer: Peer) -> Grant:
        """What the client on a new connection may do; raises Refused when it is not let in."""
        shown = self._shown(self._look(), token)
        if shown is not None and shown.role is Role.CLIENT:
            self._check_certificate(shown.name, peer)
            return shown.grant()
        if shown is None and self._shared is not None and _equal(token, self._shared):
            return Grant()
        raise Refused("authentication", "the token is not valid for this hub")

    def objection(self, device: str | None, grant: Grant) -> str | None:
        """Why someone who was let in has to go now; `device` is None for a client."""
        if grant.credential:
            credential = self._seen.get(grant.credential)
            if credential is None:
                return "its token was revoked"
            return "its token has expired" if credential.expired(self._clock()) else None
        if device is not None and device not in self._issued and _named(self._seen, device):
            return "its name has a token of its own now"
        return None

    async def watch(self, *recheck: Callable[[], None]) -> None:
        """Call these whenever someone may have to go, within `WATCH_S` after the list has changed."""
        before, now = self._seen, self._clock()
        while True:
            await anyio.sleep(WATCH_S)
            since, now = now, self._clock()
            current = self._look()
            ends = (item.expires_at for item in current.values() if item.expires_at is not None)
            if current is not before or any(since <= end <= now for end in ends):
                before = current
                for check in recheck:
                    check()

    def _look(self) -> Mapping[str, Credential]:
        """The credentials as they are now; none when they can't be read, which lets nobody keep what was taken away."""
        if self._store is None:
            return self._seen
        try:
            self._seen = self._store.credentials()
        except TokensUnreadable as error:
            if self._seen is not _NOBODY:
                _log.error("tokens of single devices and clients count for nothing: %s", error)
            self._seen = _NOBODY
        return self._seen

    def _shown(self, credentials: Mapping[str, Credential], token: str) -> Credential | None:
        """The credential whose token this is, if it is still worth something."""
        credential = credentials.get(token_id(token) or "")
        if credential is None or not credential.matches(token) or credential.expired(self._clock()):
            return None
        return credential

    def _check_certificate(self, name: str, peer: Peer) -> None:
        if peer.certificate_names is not None and name not in peer.certificate_names:
            raise Refused("identity", f"the certificate that was shown is not one of {name!r}")


def _named(credentials: Mapping[str, Credential], device: str) -> bool:
    return any(item.name == device and item.role is Role.DEVICE for item in credentials.values())


def _equal(shown: str, expected: str) -> bool:
    return hmac.compare_digest(shown.encode(errors="replace"), expected.encode())
