"""A PostgreSQL server for tests and measurements: in a directory of its own, on a Unix socket, and durable."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import psutil

from .errors import ServerFailed

DEBIAN = "/usr/lib/postgresql"
"""Where Debian keeps the server's programs, off the path, by version."""

USER = "nobody"
"""Who the server runs as where this process runs as root, which it refuses."""

OPTIONS = ("listen_addresses=", "max_connections=40", "shared_buffers=16MB", "autovacuum=off", "log_min_messages=fatal")

_STOP_S = 10.0


class PostgresServer:
    """A server that runs inside a `with` block, and may be stopped and started in it. All are let in who reach it.

    Attributes:
        directory: Where its files are; only its own user can look into it.
    """

    def __init__(self, *, within: Path | None = None, options: Sequence[str] = OPTIONS) -> None:
        """Start nothing yet.

        Args:
            within: Where its directory is made, the system's directory for temporary files when None. The path of a
                socket can't be long.
            options: Its settings, `name=value`; what is not named is as the server has it by itself.
        """
        self._within = within
        self._options = tuple(options)
        self._schemas = 0

    @staticmethod
    def installed() -> bool:
        """Whether this machine has what it takes."""
        return _program("initdb") is not None and _program("pg_ctl") is not None

    @staticmethod
    def can_enter(directory: Path) -> bool:
        """Whether the user that the server runs as gets as far as a directory inside this one."""
        if os.geteuid() != 0:
            return os.access(directory, os.W_OK | os.X_OK)
        path = directory.resolve()
        return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))

    def __enter__(self) -> PostgresServer:
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir=self._within))
        try:
            self._identity: dict[str, Any] = {}
            if os.geteuid() == 0:
                account = pwd.getpwnam(USER)
                os.chown(self.directory, account.pw_uid, account.pw_gid)
                self._identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            self._run(
                "initdb", "--username=tester", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"
            )
            self.start()
        except BaseException:
            shutil.rmtree(self.directory)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def start(self, *options: str) -> None:
        """Start it, and wait until it lets clients in; `options` are settings besides the usual ones.

        Raises:
            ServerFailed: it does not start.
        """
        settings = [*self._options, f"unix_socket_directories={self.directory}", *options]
        self._run("pg_ctl", "start", "--wait", "-l", "log", "-o", " ".join(f"-c {setting}" for setting in settings))

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a crash."""
        pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        server = psutil.Process(pid)
        self._run("pg_ctl", "stop", "--wait", "-m", mode)
        psutil.wait_procs([server], timeout=_STOP_S)

    def url(self, *, database: str = "postgres", options: str = "") -> str:
        """The URL of a database."""
        return f"postgresql://tester@{quote(str(self.directory), safe='')}/{database}{options}"

    def new_url(self) -> str:
        """The URL of a schema that nobody has used yet."""
        self._schemas += 1
        name = f"test{self._schemas}"
        self.execute(f"CREATE SCHEMA {name}")
        return self.url(options=f"?options=-csearch_path%3D{name}")

    def execute(self, statement: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, committed at once; returns the rows of one that has any."""
        import psycopg

        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description is not None else []

    def _run(self, name: str, *arguments: str) -> None:
        command = [_program(name) or name, "-D", str(self.directory / "data"), *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, env={**os.environ, "LC_ALL": "C"}, **self._identity,
            )  # fmt: skip
        except OSError as error:
            raise ServerFailed(name, str(error)) from error
        if done.returncode != 0:
            raise ServerFailed(name, done.stderr.strip() or f"it ended with {done.returncode}")


def _program(name: str) -> str | None:
    versions = sorted(Path(DEBIAN).glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, versions)]))
