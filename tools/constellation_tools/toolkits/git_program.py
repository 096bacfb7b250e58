"""The git program, held to what it is asked: nothing that a repository brings along is run.

A repository's own configuration can name programs in dozens of places: hooks, filters, pagers, monitors, transports.
Known ones are switched off on the command line, and a repository whose configuration sets anything but what is known
to be harmless is refused. Neither the user's configuration nor the system's is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import Confined, ToolFailed
from .confinement import Root
from .network import AllowList, public_addresses
from .processes import ProcessLimits, ProcessResult, clean_environment, run_process
from .sandbox import Sandbox

LIMITS = ProcessLimits(output_bytes=1024**2)

_OFF = {
    "core.fsmonitor": "false", "core.hooksPath": "/dev/null", "core.pager": "cat", "core.editor": "false",
    "core.sshCommand": "false", "core.askPass": "false", "core.gitProxy": "false", "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null", "credential.helper": "", "diff.external": "", "gpg.program": "false",
    "commit.gpgSign": "false", "tag.gpgSign": "false", "log.showSignature": "false", "submodule.recurse": "false",
    "gc.auto": "0", "maintenance.auto": "false", "protocol.allow": "never", "http.followRedirects": "false",
}  # fmt: skip

_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ATTR_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat", "GIT_EDITOR": "false", "GIT_ASKPASS": "false", "GIT_SSH_COMMAND": "false",
    "GIT_PROTOCOL_FROM_USER": "0", "GIT_LITERAL_PATHSPECS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1",
}  # fmt: skip

_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|autocrlf|eol"
    r"|safecrlf|compression|quotepath)|user\.(name|email)|init\.defaultbranch|color\..*|pull\.(rebase|ff)|push\.default"
    r"|branch\..*\.(remote|merge|rebase|description)|remote\..*\.(url|pushurl|fetch|tagopt|prune)|advice\..*"
)

_REVISION = re.compile(r"[A-Za-z0-9_@^][A-Za-z0-9_./@{}^~+:=-]*")


@dataclass(frozen=True, slots=True)
class Git:
    """Where git may work and with what.

    Attributes:
        inside: The directory that repositories are in.
        allowed: The hosts that may be cloned from.
        limits: What its processes may use.
        sandbox: How it is kept away from the rest of the machine.
    """

    inside: Root
    allowed: AllowList
    limits: ProcessLimits
    sandbox: Sandbox | None

    async def run(
        self, tool: str, repository: str, arguments: Sequence[str], *, timeout_s: float = 60.0, stdin: str = ""
    ) -> ProcessResult:
        """Run a command in a repository.

        Raises:
            Confined: it is not a plain repository below the root, or its configuration could run programs.
            ToolFailed: git reports an error.
        """
        self._check_plain(repository)
        with self.inside.directory(repository) as directory:
            listing = ["config", "--file", ".git/config", "--no-includes", "--list", "--name-only", "-z"]
            for key in filter(None, (await self._git(tool, repository, directory, listing))["stdout"].split("\0")):
                if not _HARMLESS.fullmatch(key.lower()):
                    raise Confined(
                        f"{repository!r} sets {key!r}, by which git might run a program or leave the root; "
                        "its owner has to remove that from its .git/config"
                    )
            command = ["--git-dir=.git", "--work-tree=.", *arguments]
            return await self._git(tool, repository, directory, command, timeout_s=timeout_s, stdin=stdin)

    async def clone(self, tool: str, url: str, to: str, depth: int | None, timeout_s: float) -> None:
        """Clone from an allowed host, over a connection to an address that has been checked.

        Raises:
            Confined: the host may not be reached, or the place is outside of the root.
            ToolFailed: something is there already, or git reports an error.
        """
        target = self.allowed.check(url)
        address = (await public_addresses(target))[0]
        with self.inside.parent(to, create=True) as (directory, name):
            if name == "." or name in os.listdir(directory):
                raise ToolFailed(f"{to!r} is there already; clone to another place")
            pinned = f"{target.host}:{target.port}:{address}"
            options = ["-c", f"http.curloptResolve={pinned}", "-c", f"protocol.{target.scheme}.allow=always"]
            command = [*options, "clone", "--quiet", "--template=", "--no-local", "--no-recurse-submodules"]
            if depth is not None:
                command += ["--depth", str(depth)]
            parent = os.path.dirname(to.rstrip("/")) or "."
            await self._git(
                tool, parent, directory, [*command, "--", target.url, name], timeout_s=timeout_s, network=True
            )

    def _check_plain(self, repository: str) -> None:
        """Refuse what leads git elsewhere: a `.git` that is a file or a link, and borrowed objects or directories."""
        with self.inside.directory(repository) as directory:
            try:
                held = os.open(".git", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            except OSError as error:
                raise Confined(
                    f"{repository!r} is not a plain repository: it has no directory .git of its own"
                ) from error
            try:
                for name in ("commondir", "objects/info/alternates", "objects/info/http-alternates", "config.worktree"):
                    try:
                        os.stat(name, dir_fd=held, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    raise Confined(
                        f"the repository {repository!r} has .git/{name}, which leads to places outside of it"
                    )
                for name in ("config", "objects", "refs", "HEAD", "index", "info"):
                    try:
                        is_link = stat.S_ISLNK(os.stat(name, dir_fd=held, follow_symlinks=False).st_mode)
                    except FileNotFoundError:
                        continue
                    if is_link:
                        raise Confined(f"the repository {repository!r} has a link at .git/{name}")
            finally:
                os.close(held)

    async def _git(
        self,
        tool: str,
        cwd: str,
        directory: int,
        arguments: Sequence[str],
        *,
        timeout_s: float = 60.0,
        stdin: str = "",
        network: bool = False,
    ) -> ProcessResult:
        switches = [part for key, value in _OFF.items() for part in ("-c", f"{key}={value}")]
        result = await run_process(
            tool,
            ["git", "--no-pager", *switches, *arguments],
            root=self.inside.path,
            cwd=cwd,
            directory=directory,
            env={**clean_environment(str(self.inside.path)), **_ENVIRONMENT},
            stdin=stdin.encode(),
            timeout_s=timeout_s,
            limits=self.limits,
            sandbox=replace(self.sandbox, network=True) if network and self.sandbox else self.sandbox,
        )
        if result["exit_code"] != 0:
            raise ToolFailed(f"git: {result['stderr'].strip()[:2000] or result['stdout'].strip()[:2000]}")
        return result


def revision(text: str) -> str:
    """Return a revision that can't be taken for an option.

    Raises:
        ToolFailed: it is not one.
    """
    if not _REVISION.fullmatch(text):
        raise ToolFailed(
            f"{text!r} is not a revision; give a branch, a tag, a commit, or two of them as in 'main..topic'"
        )
    return text
