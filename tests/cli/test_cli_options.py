"""What options stand for."""

from __future__ import annotations

import pytest

from constellation.cli.options import without_password


@pytest.mark.parametrize(
    ("journal", "shown"),
    [
        ("runs.db", "runs.db"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db"),
        ("postgresql://host/runs", "postgresql://host/runs"),
        ("postgresql://me@host/runs", "postgresql://me@host/runs"),
        ("postgresql://me:hunter2@host:5432/runs?sslmode=require", "postgresql://me@host:5432/runs?sslmode=require"),
        ("postgresql://me:hunt@er2@host/runs", "postgresql://me@host/runs"),
        ("postgresql://host/runs?password=hunter2&user=me", "postgresql://host/runs?user=me"),
        ("postgresql://host/runs?user=me&sslpassword=hunter2", "postgresql://host/runs?user=me"),
    ],
)
def test_a_journal_is_shown_without_its_password(journal: str, shown: str) -> None:
    assert without_password(journal) == shown
