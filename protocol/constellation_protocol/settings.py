"""What can be set of a session: the orchestrator's rules for it, and how a device reconnects."""

from __future__ import annotations

from dataclasses import dataclass, field

from .messages import Limits

HANDSHAKE_TIMEOUT_S = 10.0
"""How long either side waits for the other's part of the opening handshake."""

CLOSE_GRACE_S = 2.0
"""How long closing a link waits for the peer to take what was sent."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The rules of the sessions that an orchestrator opens; it tells them to the device in its welcome.

    Attributes:
        heartbeat_s: Silence after which either side asks for a sign of life, in seconds.
        resume_window_s: How long a session without a connection can be resumed, in seconds.
        credits: How many messages may be on the way unacknowledged, in each direction.
        limits: Sizes that both sides keep to.
        messages_per_s: How many messages of a device are read a second, on the average; None for as many as come.
    """

    heartbeat_s: float = 5.0
    resume_window_s: float = 30.0
    credits: int = 1024
    limits: Limits = field(default_factory=Limits)
    messages_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections a listener keeps open at once.

    Attributes:
        total: In all.
        per_address: From one IP address, or one network of 64 bits in IPv6.
    """

    total: int = 12_000
    per_address: int = 2000


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """How a device tries to mend a lost connection.

    Attributes:
        first_delay_s: The longest wait before the first try, in seconds.
        max_delay_s: What the waits grow up to, in seconds.
        factor: By how much each wait is longer than the one before.
        give_up_s: Seconds without a connection after which the session is given up.
    """

    first_delay_s: float = 0.1
    max_delay_s: float = 5.0
    factor: float = 2.0
    give_up_s: float = 60.0

    def delay_s(self, tries: int, chance: float) -> float:
        """Say how long to wait after this many failed tries; `chance` in [0, 1) spreads devices out.

        At least half of the full delay is waited, so that many devices neither come back at one instant nor hammer.
        """
        exponent = min(tries, 64)
        full = min(self.max_delay_s, self.first_delay_s * self.factor**exponent)
        return full * (0.5 + chance / 2)
