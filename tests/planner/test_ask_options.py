"""What `constellation ask` is told, and where it looks when it is not told."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest

from constellation.cli.choosing import prices_of
from constellation.cli.dispatch import dispatch
from constellation.cli.errors import BadInput
from constellation.cli.settings import read_settings
from constellation.llm import local_servers
from constellation.planner import Budget, EditPolicy, PlannerMisconfigured
from constellation.testing.models import Answer, Called, Fault, ModelServer, Raw, Reply, SeenRequest, Used


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own, and an environment without models."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name == "CONSTELLATION_MODEL":
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture(autouse=True)
def nobody_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of models at the usual places."""
    monkeypatch.setattr(local_servers, "LOCAL", ())
    monkeypatch.setattr(local_servers.find_local_servers, "__defaults__", ((),))


def capable(seen: SeenRequest) -> Answer | str:
    """A model that can do all that is tried."""
    if seen.body.get("tools"):
        return Reply(calls=(Called("add", {"a": 2, "b": 3}),))
    return "yes, one two three"


@contextmanager
def serving(*rules: Any, **more: Any) -> Iterator[ModelServer]:
    """A server of models in a thread of its own: commands have event loops of their own."""
    server = ModelServer(rules=rules, **more)
    ready, over = threading.Event(), anyio.Event()
    loop: list[Any] = []

    async def serve() -> None:
        from anyio.lowlevel import current_token

        async with server:
            loop.append(current_token())
            ready.set()
            await over.wait()

    thread = threading.Thread(target=anyio.run, args=(serve,))
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        anyio.from_thread.run_sync(over.set, token=loop[0])
        thread.join(30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["  "], "the request is empty"),
        (["x", "--budget", "3apples"], "'3apples' is no budget: write an amount with its unit"),
        (["x", "--price", "cheap", "--model", "vllm/x"], "'cheap' is no price"),
        (["x", "--approve", "none", "--approve", "plan"], "--approve none goes with no other"),
        (["x", "--replay", "nothing.jsonl"], "the cassette can't be read"),
        (["x", "--replay", "a", "--model", "b/c"], "--replay asks no model"),
        (["x", "--hub", "ws://127.0.0.1:1", "--devices", "2"], "--devices can't go with --hub"),
        (["x", "--model", "nonsense"], "'nonsense' is no model"),
        (["x", "--root", "nowhere"], "--root nowhere is no directory"),
        (["x", "--deadline", "0"], "--deadline 0 would end the run before it begins"),
        (["x", "--edits", ",", "--model", "vllm/x"], "stars go with the policy"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_begins(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dispatch(["ask", *arguments]) == 2
    assert message in capsys.readouterr().err


# --- which model -----------------------------------------------------------------------------------------------------


def test_without_a_model_one_is_told_in_three_lines_how_to_get_one(capsys: Any) -> None:
    assert dispatch(["ask", "x"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("error: no model is chosen, and no server of models was found on this machine")
    assert len(told) == 4
    assert "export OPENAI_API_KEY" in told[1]


def test_a_server_on_this_machine_is_found_and_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with serving(capable, models=["qwen3"], owned_by="library") as server:
        monkeypatch.setattr(local_servers.find_local_servers, "__defaults__", ({"ollama": server.url},))
        assert dispatch(["ask", "x"]) == 2
        assert f"on this machine there are ollama/qwen3@{server.url}: give one of them" in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["y\n", "no\n"])
def test_at_a_terminal_the_server_on_this_machine_is_offered(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from constellation.cli import choosing

    facts = local_servers.ServerFacts("ollama", "plain", ("qwen3", "llama3"), {})
    server = local_servers.LocalServer("http://127.0.0.1:11434/v1", facts, ("ollama/qwen3", "ollama/llama3"))

    heard, said = os.pipe()
    os.write(said, answer.encode())
    os.close(said)
    models = [(server, model) for model in server.models]
    with os.fdopen(heard) as typed:
        monkeypatch.setattr("sys.stdin", typed)
        if answer == "y\n":
            assert anyio.run(choosing._offer, models) == "ollama/qwen3"
        else:
            with pytest.raises(BadInput, match="give one with --model"):
                anyio.run(choosing._offer, models)
    assert "ollama/qwen3 runs on this machine" in capsys.readouterr().err


def test_who_does_not_answer_is_no_server_of_models() -> None:
    with serving(lambda seen: Fault(500)) as server:
        found = anyio.run(local_servers.find_local_servers, {"ollama": "http://127.0.0.1:9/v1", "vllm": server.url})
    assert [each.models for each in found] == [(f"vllm/scripted@{server.url}",)]


# --- the file --------------------------------------------------------------------------------------------------------


def settings(text: str, *, mode: int = 0o600) -> Path:
    path = Path("constellation.toml")
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_file_says_what_the_command_line_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    settings('[ask]\nmodel = "openai/gpt-5"\nbudget = ["2usd"]\n[keys]\nopenai = "sk-one"\n[prices]\n"a/b" = "1,2"\n')
    read = read_settings()
    assert (read.ask.model, read.ask.budget, read.prices) == ("openai/gpt-5", ("2usd",), {"a/b": "1,2"})
    assert read.key_for("openai") == "sk-one"
    assert "sk-one" not in repr(read)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    assert read.key_for("openai") is None, "the environment goes first"


def test_the_file_may_be_in_the_home_as_well(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = place / "elsewhere"
    home.mkdir()
    (home / "constellation.toml").write_text('[ask]\nmodel = "ollama/x"\n')
    monkeypatch.setenv("CONSTELLATION_HOME", str(home))
    assert read_settings().ask.model == "ollama/x"


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ('[keys]\nopenai = "sk-one"\n', 0o644, "holds keys, and others can read it: chmod 600"),
        ("[ask]\nmodell = 1\n", 0o600, "ask.modell"),
        ("[ask\n", 0o600, "constellation.toml: "),
        ('[ask]\napprove = ["all"]\nmodel = "vllm/x"\n', 0o600, "approve can't be 'all' in constellation.toml"),
    ],
)
def test_a_file_that_makes_no_sense_or_shows_its_keys_is_refused(
    text: str, mode: int, message: str, capsys: Any
) -> None:
    settings(text, mode=mode)
    assert dispatch(["ask", "x"]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "sk-one" not in told


# --- models check ----------------------------------------------------------------------------------------------------


def checked(*arguments: str, capsys: Any) -> tuple[int, list[dict[str, Any]]]:
    code = dispatch(["models", "check", "--json", *arguments])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_works_of_a_model_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-indeed")
    with serving(capable) as server:
        code, lines = checked(server.model, capsys=capsys)
        assert dispatch(["models", "check", server.model]) == 0
    assert code == 0
    tried = {line["check"]: (line["ok"], line["detail"]) for line in lines if line["ok"] is not None}
    assert tried["answer"] == (True, "scripted, 10 + 5 tokens, no price is known")
    assert tried["stream"] == (True, "3 pieces of text")
    assert tried["tools"] == (True, 'add {"a": 2, "b": 3}')
    assert tried["hints"] == (True, "dialect plain")
    assert {"about": "openai", "check": "key", "ok": None, "detail": "set: OPENAI_API_KEY"} in lines
    shown = capsys.readouterr().out
    assert "tools   ok: add" in shown
    assert "sk-very-secret" not in shown + str(lines)


def test_what_does_not_work_is_told_and_ends_in_1(capsys: Any) -> None:
    unable = Reply("no tools for me", usage=Used(prompt=90))
    with serving(lambda seen: unable if seen.body.get("tools") else "yes") as server:
        code, lines = checked(server.model, "nonsense", "vllm/x@http://127.0.0.1:9", capsys=capsys)
    assert code == 1
    failed = {(line["about"], line["check"]): line["detail"] for line in lines if line["ok"] is False}
    assert failed[(server.model, "tools")] == "it was told to call a tool, and did not: it can't plan"
    assert "is no model" in failed[("nonsense", "open")]
    assert ("vllm/x@http://127.0.0.1:9", "answer") in failed


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply("5", usage=Used(prompt=14)), "its server does not tell it of tools; maybe its chat template knows none"),
        (
            Reply("5 " * 9, finish="length", usage=Used(prompt=90, completion=512)),
            "it was told to call a tool, and wrote 512 tokens of something else",
        ),
        (Reply("5", usage=None), "it was told to call a tool, and did not"),
    ],
)
def test_why_a_model_calls_no_tool_is_told_where_that_can_be_seen(reply: Reply, problem: str, capsys: Any) -> None:
    with serving(lambda seen: reply if seen.body.get("tools") else "yes") as server:
        _, lines = checked(server.model, capsys=capsys)
    assert [line["detail"] for line in lines if line["check"] == "tools"] == [f"{problem}: it can't plan"]


def test_a_server_that_answers_with_another_model_than_was_asked_for_is_found_out(capsys: Any) -> None:
    said = {
        "model": "smollm2",
        "choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    }
    with serving(lambda seen: None if seen.body.get("stream") else Raw(json.dumps(said).encode()), capable) as server:
        _, lines = checked(f"llamacpp/qwen3@{server.url}", f"llamacpp/smollm2@{server.url}", capsys=capsys)
    told = [line["detail"].partition(", 0 +")[0] for line in lines if line["check"] == "answer"]
    assert told == ["smollm2, though qwen3 was asked for", "smollm2"]


def test_without_a_model_there_is_nothing_to_check(capsys: Any) -> None:
    assert dispatch(["models", "check"]) == 2
    assert "there is no model to try" in capsys.readouterr().err


def test_the_chosen_model_is_checked_else_those_on_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with serving(capable) as server:
        monkeypatch.setattr(local_servers.find_local_servers, "__defaults__", ({"vllm": server.url},))
        _, lines = checked(capsys=capsys)
        assert {line["about"] for line in lines if line["ok"]} == {f"vllm/scripted@{server.url}"}
        monkeypatch.setenv("CONSTELLATION_MODEL", server.model)
        _, lines = checked(capsys=capsys)
        assert {line["about"] for line in lines if line["ok"]} == {server.model}


# --- budgets, prices and policies as people write them ---------------------------------------------------------------


def test_budgets_are_amounts_with_units() -> None:
    assert Budget.parse(["2usd", "40calls,200ktokens", " 10 min "]) == Budget(40, 200_000, Decimal(2), 600.0)
    assert Budget.parse(["0.5$", "1call", "1.5Mtokens", "90s"]) == Budget(1, 1_500_000, Decimal("0.5"), 90.0)
    assert Budget.parse([]) == Budget()
    for wrong in ("", "usd", "2 apples", "-1usd", "2usd;3calls"):
        with pytest.raises(PlannerMisconfigured, match="is no budget"):
            Budget.parse([wrong])
    with pytest.raises(PlannerMisconfigured, match="can't be -1"):
        Budget(calls=-1)


def test_prices_are_two_numbers_or_three() -> None:
    prices = prices_of("2.50,10,0.25")
    assert prices is not None
    assert (prices.input, prices.output, prices.cached) == (Decimal("2.50"), Decimal(10), Decimal("0.25"))
    for wrong in ("1", "1,2,3,4", "a,b"):
        with pytest.raises(BadInput, match="is no price"):
            prices_of(wrong)


def test_a_policy_says_one_thing() -> None:
    for wrong in ({"when": "sometimes"}, {"when": "chosen"}, {"stars": frozenset({"a"})}, {"gather_s": -1.0}):
        with pytest.raises(PlannerMisconfigured):
            EditPolicy(**wrong)  # type: ignore[arg-type]
