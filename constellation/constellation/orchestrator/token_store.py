"""The list of credentials in a file: read anew when it has changed, and replaced whole, for its owner's eyes only."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from .credentials import Credential
from .errors import BadCredential, TokensUnreadable

TOKENS_FILE = "tokens.json"
"""The name of the file, in the directory of the user's state."""

MAX_FILE_BYTES = 64 * 1024 * 1024

_Signature = tuple[int, int, int] | None


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Literal[1] = 1
    credentials: tuple[Credential, ...] = ()


class TokenStore:
    """The credentials in one file; a file that is not there holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._signature: _Signature = None
        self._known: dict[str, Credential] = {}

    def credentials(self) -> Mapping[str, Credential]:
        """The credentials by id, as they are now; reads the file only when another has taken its place.

        Raises:
            TokensUnreadable: it can't be read, makes no sense, or others than its owner may write it.
        """
        signature = self._look()
        if signature != self._signature:
            self._known = {item.id: item for item in self._read()}
            self._signature = signature
        return self._known

    def add(self, credential: Credential, *, now: float) -> None:
        """Add a credential; one of that name that has expired makes way.

        Raises:
            BadCredential: there is one of that name.
            TokensUnreadable: the file can't be read.
            OSError: it can't be written.
        """
        with self._changing() as known:
            taken = next((item for item in known if item.name == credential.name), None)
            if taken is not None and not taken.expired(now):
                raise BadCredential(
                    f"there is a token named {credential.name!r} already: revoke it first, or choose another name"
                )
            self._write([*(item for item in known if item is not taken), credential])

    def remove(self, name: str) -> Credential:
        """Remove the credential of a name and return it.

        Raises:
            BadCredential: there is none of that name.
            TokensUnreadable: the file can't be read.
            OSError: it can't be written.
        """
        with self._changing() as known:
            found = next((item for item in known if item.name == name), None)
            if found is None:
                raise BadCredential(
                    f"there is no token named {name!r}; `constellation tokens list` shows those there are"
                )
            self._write([item for item in known if item is not found])
            return found

    def _look(self) -> _Signature:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TokensUnreadable(f"{self.path} can't be read: {error.strerror}") from error
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise TokensUnreadable(f"{self.path} may be written by others than its owner: chmod 600 it")
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> tuple[Credential, ...]:
        try:
            with self.path.open("rb") as file:
                text = file.read(MAX_FILE_BYTES)
            return _Document.model_validate_json(text).credentials
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise TokensUnreadable(f"{self.path} can't be read: {error.strerror}") from error
        except ValidationError as error:
            raise TokensUnreadable(f"{self.path} is no list of tokens, or a damaged one: {error}") from error

    def _write(self, credentials: list[Credential]) -> None:
        text = _Document(credentials=tuple(credentials)).model_dump_json(indent=1)
        handle, place = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)  # which has mode 0600
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(place, self.path)
        except BaseException:
            os.unlink(place)
            raise

    @contextmanager
    def _changing(self) -> Iterator[tuple[Credential, ...]]:
        """What the file holds, while no other process changes it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._look()
            yield self._read()
        finally:
            os.close(lock)
