"""The git toolkit: what it does, and that nothing a repository brings along is run."""

from __future__ import annotations

import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from constellation_tools import Confined, ToolFailed
from constellation_tools.toolkits.git import git_tools

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires("git")]

ANN = "Ann <ann@example.org>"


def git(place: Path, *arguments: str) -> None:
    config = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *config, *arguments], cwd=place, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    made = tmp_path / "root" / "repo"
    made.mkdir(parents=True)
    git(made, "init")
    (made / "a.txt").write_text("one\n")
    git(made, "add", ".")
    git(made, "commit", "-m", "first")
    return made


async def call(place: Path, name: str, /, **arguments: Any) -> Any:
    return await git_tools(place.parent, sandbox=None).get(name).call(arguments)


async def test_a_change_is_seen_committed_and_found_again(repository: Path) -> None:
    (repository / "a.txt").write_text("one\ntwo\n")
    (repository / "né w\n.txt").write_text("x")
    status = await call(repository, "git_status", repository="repo")
    assert status["branch"] == "main"
    assert status["changes"] == [{"path": "a.txt", "state": " M"}, {"path": "né w\n.txt", "state": "??"}]
    assert "+two" in (await call(repository, "git_diff", repository="repo"))["text"]
    made = await call(
        repository, "git_commit", repository="repo", message="second\n\nbody", paths=["a.txt"], author="Bob <bob@b.org>"
    )
    assert (made["subject"], made["author"]) == ("second", "Bob <bob@b.org>")
    log = await call(repository, "git_log", repository="repo")
    assert [each["subject"] for each in log] == ["second", "first"]
    blamed = await call(repository, "git_blame", repository="repo", path="a.txt")
    assert [(each["line"], each["author"], each["text"]) for each in blamed] == [(1, "Ann", "one"), (2, "Bob", "two")]
    assert (await call(repository, "git_show", repository="repo", of="HEAD~1:a.txt"))["text"] == "one\n"
    branches = await call(repository, "git_branch", repository="repo", create="topic", switch_to="topic")
    assert branches == {"current": "topic", "branches": ["main", "topic"]}


@pytest.mark.requires("bwrap")
async def test_git_works_in_a_sandbox(repository: Path) -> None:
    from .running import SANDBOX, needs_sandbox

    needs_sandbox()
    made = git_tools(repository.parent, sandbox=SANDBOX)
    assert (await made.get("git_status").call({"repository": "repo"}))["branch"] == "main"


RUNNERS = {
    "core.fsmonitor": "touch {}",
    "core.sshCommand": "touch {}",
    "core.pager": "touch {}",
    "core.editor": "touch {}",
    "core.hooksPath": "hooks",
    "alias.status": "!touch {}",
    "diff.external": "touch {}",
    "filter.x.clean": "touch {}",
    "filter.x.smudge": "touch {}",
    "diff.x.textconv": "touch {}",
    "diff.x.command": "touch {}",
    "gpg.program": "touch {}",
    "core.worktree": "/",
    "include.path": "/etc/gitconfig",
    "remote.origin.vcs": "ext",
    "credential.helper": "!touch {}",
    "core.gitProxy": "touch {}",
    "remote.origin.uploadpack": "touch {}",
    "url.ext::sh.insteadOf": "https://",
}


@pytest.mark.parametrize("key", RUNNERS)
async def test_a_repository_whose_configuration_could_run_programs_is_refused(
    repository: Path, tmp_path: Path, key: str
) -> None:
    mark = tmp_path / "ran"
    (repository / ".gitattributes").write_text("* filter=x diff=x\n")
    (repository / "a.txt").write_text("changed\n")
    git(repository, "config", key, RUNNERS[key].format(mark))
    for name in ("git_status", "git_diff", "git_log", "git_show", "git_branch"):
        with pytest.raises(Confined, match=r"might run a program or leave the root"):
            await call(repository, name, repository="repo")
    assert not mark.exists()


async def test_no_hook_is_run(repository: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hooks = repository / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "commit-msg",
        "post-commit",
        "prepare-commit-msg",
        "post-checkout",
        "reference-transaction",
    ):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
        (hooks / name).chmod(0o755)
    (repository / "b.txt").write_text("b")
    await call(repository, "git_commit", repository="repo", message="m", paths=["."], author=ANN)
    await call(repository, "git_branch", repository="repo", create="topic", switch_to="topic")
    assert not mark.exists()


async def test_the_configuration_of_the_user_is_not_read(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    (repository.parent / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = touch {mark}\n[alias]\n\tlog = !touch {mark}\n"
    )
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {mark}")
    (repository / "a.txt").write_text("changed\n")
    for name in ("git_status", "git_diff", "git_log"):
        await call(repository, name, repository="repo")
    assert not mark.exists()


@pytest.mark.parametrize("of", ["--output=/tmp/x", "-O/tmp/x", "--upload-pack=touch x", "", "a b", "$(id)", "a\0b"])
async def test_options_are_not_taken_for_revisions(repository: Path, of: str) -> None:
    for name in ("git_log", "git_show"):
        with pytest.raises(ToolFailed, match="is not a revision"):
            await call(repository, name, repository="repo", of=of)


async def test_options_are_not_taken_for_paths(repository: Path) -> None:
    assert await call(repository, "git_log", repository="repo", path="--output=x") == []
    with pytest.raises(ToolFailed, match="did not match"):
        await call(repository, "git_commit", repository="repo", message="m", paths=["--force"], author=ANN)
    with pytest.raises(ToolFailed, match="outside repository"):
        await call(repository, "git_commit", repository="repo", message="m", paths=["../../x"], author=ANN)


@pytest.mark.parametrize("trick", ["file", "link", "alternates", "commondir", "objects"])
async def test_a_repository_that_lies_elsewhere_is_refused(repository: Path, tmp_path: Path, trick: str) -> None:
    outside = tmp_path / "outside"
    repository.rename(outside)
    repository.mkdir()
    if trick == "file":
        (repository / ".git").write_text(f"gitdir: {outside}/.git\n")
    elif trick == "link":
        (repository / ".git").symlink_to(outside / ".git")
    else:
        git(repository, "init")
        if trick == "alternates":
            (repository / ".git/objects/info").mkdir(exist_ok=True)
            (repository / ".git/objects/info/alternates").write_text(f"{outside}/.git/objects\n")
        elif trick == "commondir":
            (repository / ".git/commondir").write_text(f"{outside}/.git\n")
        else:
            (repository / ".git/objects").rename(repository / ".git/mine")
            (repository / ".git/objects").symlink_to(outside / ".git/objects")
    with pytest.raises(Confined):
        await call(repository, "git_status", repository="repo")
    with pytest.raises(Confined):
        await call(repository, "git_status", repository="../outside")


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c touch% x", "file:///etc", "/etc", "../outside", "ssh://a.org/x", "git@a.org:x", "git://a.org/x",
     "--upload-pack=x", "https://evil.org/x", "https://u:p@a.org/x", "fd::7"],
)  # fmt: skip
async def test_only_allowed_hosts_are_cloned_from_and_only_over_http(repository: Path, url: str) -> None:
    made = git_tools(repository.parent, allow_hosts=["a.org"], sandbox=None).get("git_clone")
    with pytest.raises((Confined, ToolFailed)):
        await made.call({"url": url, "to": "copy"})
    assert not (repository.parent / "copy").exists()


async def test_a_clone_comes_from_an_allowed_server_at_the_address_that_was_checked(
    repository: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--bare", str(repository), "served.git")
    git(tmp_path / "served.git", "update-server-info")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            place = f"localhost:{server.server_port}"
            made = git_tools(repository.parent, allow_hosts=[place], sandbox=None).get("git_clone")
            status = await made.call({"url": f"http://{place}/served.git", "to": "new/copy"})
            with pytest.raises(ToolFailed, match="there already"):
                await made.call({"url": f"http://{place}/served.git", "to": "new/copy"})
        finally:
            server.shutdown()
            serving.join()
    assert status["branch"] == "main"
    assert (repository.parent / "new/copy/a.txt").read_text() == "one\n"
