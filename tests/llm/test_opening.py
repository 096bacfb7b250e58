"""Model strings: what they mean, which key goes where, and what is wrong with one."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from constellation.llm import ModelAddress, ModelMisconfigured, open_model, opening, user
from constellation.llm import ModelRequest as Request
from constellation.llm.clients import price_table
from constellation.testing.models import ModelServer

KEY = "sk-test-0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "provider", "model", "url", "through_litellm"),
    [
        ("openai/gpt-5", "openai", "gpt-5", None, False),
        ("vllm/Qwen/Qwen3-8B@http://10.0.0.7:8000", "vllm", "Qwen/Qwen3-8B", "http://10.0.0.7:8000/v1", False),
        ("vllm/m@https://host/base/", "vllm", "m", "https://host/base", False),
        ("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5", None, True),
        ("vertex_ai/claude@20250514", "vertex_ai", "claude@20250514", None, True),
        ("cloudflare/@cf/meta/llama", "cloudflare", "@cf/meta/llama", None, True),
        ("litellm/openai/gpt-5@http://h:1/v1", "openai", "gpt-5", "http://h:1/v1", True),
        ("anthropic/claude@http://h:1/", "anthropic", "claude", "http://h:1", True),
        (" OpenAI/gpt-5 ", "openai", "gpt-5", None, False),
    ],
)
def test_a_string_is_taken_apart(text: str, provider: str, model: str, url: str | None, through_litellm: bool) -> None:
    assert ModelAddress.parse(text) == ModelAddress(provider, model, url, through_litellm)


@pytest.mark.parametrize("text", ["", "gpt-5", "/gpt-5", "openai/", "litellm/gpt-5"])
def test_what_is_no_model_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ModelMisconfigured, match="write"):
        ModelAddress.parse(text)


@pytest.mark.parametrize(
    "url", ["http://user:secret@h:1", "http://h:1/v1?key=secret", "http://h:1/#x", "http://h:99999", "http://:80"]
)
def test_a_url_with_a_secret_or_without_a_host_is_refused_without_showing_a_secret(url: str) -> None:
    with pytest.raises(ModelMisconfigured) as caught:
        ModelAddress.parse(f"vllm/m@{url}")
    assert "user:secret" not in str(caught.value)


def test_a_key_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ModelMisconfigured, match="OPENAI_API_KEY"):
        open_model("openai/gpt-5")


def test_a_server_without_a_usual_place_has_to_be_told() -> None:
    with pytest.raises(ModelMisconfigured, match="compatible/m@http"):
        open_model("compatible/m")


def test_without_litellm_its_providers_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    with pytest.raises(ModelMisconfigured, match=r"pip install 'constellation-agents\[litellm\]'"):
        open_model("anthropic/claude-sonnet-4-5")


@pytest.mark.e2e
@pytest.mark.anyio
@pytest.mark.parametrize(
    "prefix",
    [
        "compatible",
        "openai",
        "vllm",
        pytest.param("litellm/openai", marks=pytest.mark.requires_module("litellm")),
    ],
)
async def test_the_key_of_openai_is_not_sent_to_another_server(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with ModelServer(["hi"]) as server, open_model(f"{prefix}/m@{server.url}") as model:
        await model.respond(Request((user("hi"),)))
        assert KEY not in str(server.requests[0].headers)


@pytest.mark.e2e
@pytest.mark.anyio
async def test_a_servers_own_key_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    async with ModelServer(["hi"], api_key=KEY) as server, open_model(f"vllm/m@{server.url}") as model:
        assert (await model.respond(Request((user("hi"),)))).text == "hi"
    assert KEY not in repr(model)


def test_importing_the_room_loads_no_providers_library() -> None:
    program = (
        "import constellation.llm, sys; print({'openai', 'litellm', 'httpx', 'h11', 'anthropic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.anyio
async def test_openai_has_the_prices_of_the_table_that_is_installed_and_servers_like_it_have_none() -> None:
    async with open_model("openai/gpt-4o-mini", api_key=KEY) as model:
        prices = await model.prices()
    assert prices is not None
    assert (prices.input, prices.output) == (Decimal("0.15"), Decimal("0.6"))
    for other in ("openai/gpt-4o-mini@http://127.0.0.1:9", "vllm/gpt-4o-mini@http://127.0.0.1:9", "openai/none-such"):
        async with open_model(other, api_key=KEY) as model:
            assert await model.prices() is None


@pytest.mark.anyio
async def test_where_no_table_is_installed_no_price_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_table, "find_spec", lambda name: None)
    async with open_model("openai/gpt-4o-mini", api_key=KEY) as model:
        assert await model.prices() is None
