"""How long to wait before the next try, without any hidden randomness: the jitter follows from the attempt's id."""

from __future__ import annotations

from hashlib import blake2b

from ..graph import RetryPolicy


def is_retryable(policy: RetryPolicy, failures: int, error_type: str) -> bool:
    """Whether a policy allows another try after `failures` failed ones, the last with this type of error."""
    return failures < policy.max_attempts and (not policy.on or error_type in policy.on)


def delay_s(policy: RetryPolicy, failures: int, attempt: str) -> float:
    """Seconds to wait after the `failures`-th failure: exponential backoff, less a share that differs by try."""
    try:
        grown_s = policy.backoff_s * policy.factor ** (failures - 1)
    except OverflowError:  # after a thousand failures at the usual factor; without a delay, there is nothing to grow
        grown_s = policy.max_backoff_s if policy.backoff_s else 0.0
    return min(grown_s, policy.max_backoff_s) * (1 - policy.jitter * _unit(attempt))


def _unit(text: str) -> float:
    """A number in [0, 1) that follows from a text."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64
