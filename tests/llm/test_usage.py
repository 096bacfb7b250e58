"""Usage adds up, money is exact, what is unknown stays so; and secrets are found wherever they stand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.llm import Prices, Usage
from constellation.llm.scrubbing import HIDDEN, scrub
from constellation.llm.usage import NOTHING

counts = st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts, counts, st.none() | st.decimals(0, 100, places=6))


@given(usages, usages, usages)
def test_usage_adds_up_in_any_order(one: Usage, two: Usage, three: Usage) -> None:
    assert (one + two) + three == one + (two + three) == three + one + two
    assert NOTHING + one == one
    assert (one + two).total_tokens == one.total_tokens + two.total_tokens


def test_what_was_known_and_what_was_not_add_up_to_the_unknown() -> None:
    assert (Usage(cost_usd=Decimal(1)) + Usage()).cost_usd is None
    assert (Usage(cost_usd=Decimal("0.1")) + Usage(cost_usd=Decimal("0.2"))).cost_usd == Decimal("0.3")


def test_each_kind_of_token_has_its_price_once() -> None:
    usage = Usage(input_tokens=1000, cached_tokens=600, cache_write_tokens=100, output_tokens=50, reasoning_tokens=30)
    full = Prices.of("10", "100", cached="1", cache_write="12.5")
    assert full.cost_usd(usage) * 1_000_000 == 300 * 10 + 600 + 1250 + 50 * 100
    assert Prices.of("10", "100").cost_usd(usage) * 1_000_000 == 1000 * 10 + 50 * 100


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-aB3dE5gH7jK9mN1pQ",
        "sk-ant-api03-aB3dE5gH7jK9mN1pQ",
        "AKIAIOSFODNN7EXAMPLEX",
        "ghp_aB3dE5gH7jK9mN1pQrS",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_is_hidden(secret: str) -> None:
    assert scrub(f"the key {secret}, please") == f"the key {HIDDEN}, please"


def test_what_bears_authority_is_hidden() -> None:
    assert scrub("Authorization: Bearer abcdefgh12345678") == f"Authorization: Bearer {HIDDEN}"


@given(st.text(), st.text(min_size=6), st.text())
def test_a_secret_that_is_known_is_never_left(before: str, secret: str, after: str) -> None:
    left = scrub(before + secret + after, [secret])
    assert secret not in left.replace(HIDDEN, "") or secret in HIDDEN


def test_ordinary_text_stays_as_it_is() -> None:
    text = "The risk-free task of sk-learn is to ask for 1e5 tokens; see file_name.py and hf datasets."
    assert scrub(text, ["a", ""]) == text
