"""Git repositories below one root: read, commit, branch, and clone from allowed hosts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from ..errors import ToolFailed
from ..tool import Tool, tool
from ..toolset import Toolset
from .confinement import Root
from .git_program import LIMITS, Git, revision
from .network import AllowList
from .processes import ProcessLimits
from .sandbox import Sandbox

Count = Annotated[int, Field(ge=1, le=1000)]


class GitChange(TypedDict):
    """A path that differs; `state` is git's two letters, of the index and of the working tree."""

    path: str
    state: str


class GitStatus(TypedDict):
    """Where a repository stands; `branch` is null on no branch."""

    branch: str | None
    changes: list[GitChange]


class GitCommit(TypedDict):
    """A commit."""

    commit: str
    author: str
    date: str
    subject: str


class GitText(TypedDict):
    """What git prints; `truncated` when its middle was left out."""

    text: str
    truncated: bool


class GitLine(TypedDict):
    """A line of a file, and the commit that it comes from; lines count from 1."""

    line: int
    commit: str
    author: str
    text: str


class GitBranches(TypedDict):
    """The branches; `current` is null on none."""

    current: str | None
    branches: list[str]


def git_tools(
    root: Path,
    *,
    allow_hosts: Iterable[str] = (),
    limits: ProcessLimits = LIMITS,
    sandbox: Sandbox | None = Sandbox(),  # noqa: B008 - it is frozen
) -> Toolset:
    """Return tools for git repositories; the git program has to be installed.

    Args:
        root: The directory that repositories are in.
        allow_hosts: Where may be cloned from, as for `http_tools`; nowhere by default.
        limits: What git may use.
        sandbox: How git is kept away from the rest of the machine where bubblewrap works; None for not at all.

    Raises:
        ValueError: the root is not a directory, or an entry of `allow_hosts` can't be understood.
    """
    git = Git(Root(root), AllowList(allow_hosts), limits, sandbox)

    @tool(read_only=True, open_world=False)
    async def git_status(repository: str = ".") -> GitStatus:
        """Show the branch and what has changed since the last commit.

        Args:
            repository: Its directory, relative to the root.
        """
        done = await git.run("git_status", repository, ["status", "--porcelain", "-z", "--branch", "--no-renames"])
        head, *entries = [entry for entry in done["stdout"].split("\0") if entry]
        branch = head.removeprefix("## ").removeprefix("No commits yet on ").partition("...")[0]
        changes: list[GitChange] = [{"path": entry[3:], "state": entry[:2]} for entry in entries]
        return {"branch": None if branch.startswith("HEAD (") else branch, "changes": changes}

    @tool(read_only=True, open_world=False)
    async def git_log(
        repository: str = ".", of: str = "HEAD", path: str | None = None, limit: Count = 20
    ) -> list[GitCommit]:
        """List commits, newest first.

        Args:
            repository: Its directory, relative to the root.
            of: A branch, tag, commit, or a range such as `main..topic`.
            path: Only commits that changed this file or directory, relative to the repository.
            limit: The most commits to list.
        """
        command = [
            "log",
            f"-{limit}",
            "-z",
            "--no-show-signature",
            "--format=%H%x1f%an <%ae>%x1f%aI%x1f%s",
            revision(of),
        ]
        done = await git.run("git_log", repository, [*command, "--", *([path] if path else [])])
        return [_commit(entry) for entry in done["stdout"].split("\0") if entry.count("\x1f") == 3]

    @tool(read_only=True, open_world=False)
    async def git_diff(
        repository: str = ".", of: str | None = None, path: str | None = None, staged: bool = False
    ) -> GitText:
        """Show a difference: of the working tree, of what is staged, or between two commits.

        Args:
            repository: Its directory, relative to the root.
            of: A commit to compare with, or two, as in `main..topic`.
            path: Only this file or directory, relative to the repository.
            staged: Show what is staged.
        """
        command = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", *(["--cached"] if staged else [])]
        command += [revision(of)] if of else []
        done = await git.run("git_diff", repository, [*command, "--", *([path] if path else [])])
        return {"text": done["stdout"], "truncated": done["truncated"]}

    @tool(read_only=True, open_world=False)
    async def git_show(repository: str = ".", of: str = "HEAD") -> GitText:
        """Show a commit with its difference, or a file at a commit.

        Args:
            repository: Its directory, relative to the root.
            of: A commit, or a file in one, as in `main:docs/index.md`.
        """
        command = ["show", "--no-ext-diff", "--no-textconv", "--no-color", "--no-show-signature", revision(of), "--"]
        done = await git.run("git_show", repository, command)
        return {"text": done["stdout"], "truncated": done["truncated"]}

    @tool(read_only=True, open_world=False)
    async def git_blame(
        path: str, repository: str = ".", first: Annotated[int, Field(ge=1)] = 1, lines: Count = 200
    ) -> list[GitLine]:
        """Show which commit each line of a committed file comes from.

        Args:
            path: The file, relative to the repository.
            repository: Its directory, relative to the root.
            first: The first line to show.
            lines: How many lines.
        """
        command = ["blame", "--line-porcelain", "-L", f"{first},+{lines}", "HEAD", "--", path]
        done = await git.run("git_blame", repository, command)
        return _blamed(done["stdout"])

    @tool(destructive=False, open_world=False, runs_programs=False)
    async def git_commit(
        message: Annotated[str, Field(min_length=1)],
        paths: Annotated[list[str], Field(min_length=1)],
        author: Annotated[str, Field(pattern=r"^[^<>\x00-\x1f]+ <[^<>\x00-\x1f]+>$")],
        repository: str = ".",
    ) -> GitCommit:
        """Stage paths and commit what is staged; no hook is run.

        Args:
            message: What the change is for.
            paths: Files and directories to stage, relative to the repository; `.` for all.
            author: Who made it, as in `Ann <ann@example.org>`.
            repository: Its directory, relative to the root.
        """
        name, _, address = author.removesuffix(">").partition(" <")
        who = ["-c", f"user.name={name}", "-c", f"user.email={address}"]
        await git.run("git_commit", repository, ["add", "--", *paths])
        commit = [*who, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "--file=-"]
        await git.run("git_commit", repository, commit, stdin=message)
        shown = ["log", "-1", "--format=%H%x1f%an <%ae>%x1f%aI%x1f%s"]
        return _commit((await git.run("git_commit", repository, shown))["stdout"].rstrip("\n"))

    @tool(destructive=True, open_world=False, runs_programs=False)
    async def git_branch(repository: str = ".", create: str | None = None, switch_to: str | None = None) -> GitBranches:
        """List branches; create one or switch to one before, if asked to.

        Args:
            repository: Its directory, relative to the root.
            create: The name of a branch to make at the current commit.
            switch_to: The branch to switch the working tree to.
        """
        if create is not None:
            await git.run("git_branch", repository, ["branch", "--", revision(create)])
        if switch_to is not None:
            await git.run("git_branch", repository, ["switch", "--quiet", "--no-guess", "--", revision(switch_to)])
        done = await git.run("git_branch", repository, ["branch", "--format=%(HEAD)%(refname:short)"])
        lines = done["stdout"].splitlines()
        current = [line[1:] for line in lines if line.startswith("*") and not line.startswith("*(")]
        return {"current": current[0] if current else None, "branches": [line[1:] for line in lines if "(" not in line]}

    @tool(destructive=False, open_world=True, runs_programs=False)
    async def git_clone(
        url: str,
        to: str,
        depth: Annotated[int, Field(ge=1)] | None = None,
        timeout_s: Annotated[float, Field(gt=0, le=3600)] = 300.0,
    ) -> GitStatus:
        """Clone a repository from an allowed host over HTTP; submodules are left out.

        Args:
            url: An https or http URL.
            to: The new directory, relative to the root.
            depth: How many commits back; all by default.
            timeout_s: When to give up, in seconds.
        """
        await git.clone("git_clone", url, to, depth, timeout_s)
        return await git_status(to)

    tools: list[Tool[..., Any]] = [
        git_status,
        git_log,
        git_diff,
        git_show,
        git_blame,
        git_commit,
        git_branch,
        git_clone,
    ]
    return Toolset(tools, name="git")


def _commit(entry: str) -> GitCommit:
    commit, author, date, subject = entry.split("\x1f", 3)
    return {"commit": commit, "author": author, "date": date, "subject": subject}


def _blamed(text: str) -> list[GitLine]:
    lines: list[GitLine] = []
    commit, number, author = "", 0, ""
    for row in text.split("\n"):
        if row.startswith("\t"):
            lines.append({"line": number, "commit": commit, "author": author, "text": row[1:]})
        elif row.startswith("author "):
            author = row.removeprefix("author ")
        elif len(parts := row.split(" ")) >= 3 and len(parts[0]) in (40, 64) and parts[2].isdigit():
            commit, number = parts[0], int(parts[2])
    if text and not lines:
        raise ToolFailed("git's answer can't be understood")
    return lines
