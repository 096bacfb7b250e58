"""When to try again and after how long; what rate limits hold back; which error a provider's answer is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.llm import (
    ContextOverflow,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    Retries,
    ServerFault,
)
from constellation.llm.rate_limits import RateGate, retry_after_s, span_s
from constellation.llm.wire.faults import fault_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

units = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 50), units)
def test_waits_never_exceed_their_bound_and_end_with_the_attempts(failures: int, unit: float) -> None:
    policy = Retries(attempts=10, first_s=0.5, most_s=20.0)
    delay_s = policy.delay_s(ServerFault("x"), failures, unit)
    if failures >= 10:
        assert delay_s is None
    else:
        assert delay_s is not None
        assert 0 <= delay_s <= min(0.5 * 2 ** (failures - 1), 20.0)


@given(st.floats(0, 60), units)
def test_what_a_provider_asks_for_is_the_least_wait(asked_s: float, unit: float) -> None:
    delay_s = Retries(most_asked_s=60).delay_s(RateLimited("x", retry_after_s=asked_s), 1, unit)
    assert delay_s is not None
    assert delay_s >= asked_s


def test_what_is_not_worth_it_is_not_tried_again() -> None:
    assert Retries().delay_s(RequestRefused("x"), 1, 0.5) is None
    assert Retries().delay_s(QuotaExhausted("x"), 1, 0.5) is None
    assert Retries(most_asked_s=5).delay_s(RateLimited("x", retry_after_s=6), 1, 0.5) is None


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"first_s": -1.0}, {"most_asked_s": -0.1}])
def test_a_policy_makes_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 1 attempt"):
        Retries(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("1m30s", 90.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h", 3600.0),
        ((NOW + timedelta(seconds=40)).isoformat(), 40.0),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9.0),
        ((NOW - timedelta(seconds=9)).isoformat(), 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_waits_are_understood_as_providers_write_them(text: str, seconds: float | None) -> None:
    assert span_s(text, now=NOW) == (None if seconds is None else pytest.approx(seconds))


def test_milliseconds_come_before_seconds() -> None:
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "1"}, now=NOW) == 0.25
    assert retry_after_s({"retry-after-ms": "x", "retry-after": "1"}, now=NOW) == 1.0
    assert retry_after_s({}, now=NOW) is None


def test_the_gate_is_shut_while_nothing_is_left() -> None:
    gate = RateGate()
    assert gate.wait_s(0.0) == 0.0
    gate.observe({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "30s"}, at=100.0, now=NOW)
    gate.observe({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "90s"}, at=100.0, now=NOW)
    assert (gate.wait_s(100.0), gate.wait_s(125.0), gate.wait_s(130.0)) == (30.0, 5.0, 0.0)
    gate.hold(10.0, at=101.0)  # shorter than what it waits for already
    assert gate.wait_s(100.0) == 30.0


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (402, {"error": {"message": "pay"}}, QuotaExhausted),
        (400, {"error": {"message": "prompt is too long: 9 > 8"}}, ContextOverflow),
        (400, {"error": {"type": "exceed_context_size_error", "message": "x"}}, ContextOverflow),
        (413, "input is too long", ContextOverflow),
        (500, {"error": {"message": "context length manager crashed"}}, ServerFault),
        (409, {}, ServerFault),
        (None, {"error": {"message": "engine died", "code": 500}}, ServerFault),
        (None, {"error": {"message": "bad", "code": "400"}}, RequestRefused),
        (400, {"detail": "what"}, RequestRefused),
        (400, {"error": "a string"}, RequestRefused),
        (418, None, RequestRefused),
    ],
)
def test_an_error_is_known_by_status_code_and_words(
    status: int | None, body: object, kind: type[ProviderError]
) -> None:
    fault = fault_of(status, body, {"retry-after": "3"}, provider="p", now=NOW)
    assert type(fault) is kind
    assert fault.retry_after_s == 3.0


def test_what_a_provider_says_is_told_without_secrets_and_not_at_any_length() -> None:
    fault = fault_of(
        401, {"error": {"message": "key hunter22 is wrong " + "x" * 9_000}}, {}, provider="p", secrets=["hunter22"]
    )
    assert "hunter22" not in str(fault)
    assert len(str(fault)) < 2_100
