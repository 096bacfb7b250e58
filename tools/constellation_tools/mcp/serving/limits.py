"""How much whoever is served may ask for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """Limits of one server.

    Attributes:
        calls: How many calls run at once; others wait.
        request_bytes: The longest request that is taken.
        result_bytes: The longest result that is sent as text; what is longer has to be an artifact.
        inline_bytes: The largest image or sound that is sent with a result; larger files can be read as resources.
        kept_files: How many files that tools made are kept to be read.
        kept_bytes: How large they may be together.
        sessions: How many clients of the older form of HTTP may be connected at once.
    """

    calls: int = 64
    request_bytes: int = 4 * 1024 * 1024
    result_bytes: int = 4 * 1024 * 1024
    inline_bytes: int = 4 * 1024 * 1024
    kept_files: int = 256
    kept_bytes: int = 1024 * 1024 * 1024
    sessions: int = 256
