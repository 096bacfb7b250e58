"""What providers charge, as litellm's table has it.

OpenAI's own library has no prices. Where litellm is installed, its table is read for those too, without importing it,
which would take seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..usage import Prices

TABLE = "model_prices_and_context_window_backup.json"
"""The table's file in the package."""

_PER_MILLION = Decimal(1_000_000)


def openai_prices(model: str) -> Prices | None:
    """What OpenAI charges for a model; None for one that is not in the table, or where there is no table."""
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder, TABLE)
        if path.is_file():
            entry = json.loads(path.read_bytes()).get(model)
            if isinstance(entry, dict) and entry.get("litellm_provider") == "openai":
                return prices_of(entry)
    return None


def prices_of(entry: Mapping[str, Any]) -> Prices | None:
    """The prices in an entry of the table; None when it has none."""
    rates = [entry.get(f"{name}_cost_per_token") for name in ("input", "output")]
    if not any(rates):
        return None
    rates += [entry.get("cache_read_input_token_cost"), entry.get("cache_creation_input_token_cost")]
    exact = [None if rate is None else Decimal(str(rate)) * _PER_MILLION for rate in rates]
    return Prices(exact[0] or Decimal(0), exact[1] or Decimal(0), exact[2], exact[3])
