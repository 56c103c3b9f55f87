"""The registry: which model serves a universe, and how it came to."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.errors import ModelError
from forecasting.universe import Universe
from forecasting.workspace import read_json, write_json


@dataclass(frozen=True)
class Promotion:
    """One entry of the registry: from `at` (UTC, ISO 8601) on, `model_id` serves a universe."""

    universe: str
    symbols: tuple[str, ...]
    model_id: str
    at: str
    reason: str


class Registry:
    """Promotions under a workspace's `models` folder; the last one of a universe names its champion."""

    def __init__(self, models: Path) -> None:
        self._path = models / "registry.json"

    def promotions(self) -> list[Promotion]:
        """Return all promotions, oldest first."""
        return read_json(self._path, _promotions) if self._path.exists() else []

    def champions(self) -> list[Promotion]:
        """Return the promotion in force of every universe, oldest first."""
        promotions = self.promotions()
        last = {p.universe: i for i, p in enumerate(promotions)}
        return [promotions[i] for i in sorted(last.values())]

    def promote(self, universe: Universe, model_id: str, at: pd.Timestamp, reason: str) -> None:
        """Make a model the champion of a universe; earlier promotions stay on record."""
        promotions = self.promotions()
        if promotions and (promotions[-1].universe, promotions[-1].model_id) == (universe.name, model_id):
            return
        promotions.append(Promotion(universe.name, universe.symbols, model_id, at.isoformat(), reason))
        write_json(self._path, [asdict(p) for p in promotions])

    def champion(self, symbols: Sequence[str] = ()) -> Promotion:
        """Return the newest champion whose universe holds all these symbols.

        Raises
        ------
        ModelError
            There is none.
        """
        champions = self.champions()
        found = [p for p in champions if set(symbols) <= set(p.symbols)]
        if found:
            return found[-1]
        if not champions:
            raise ModelError("no model has been trained here yet; next: tickercast run --source sample")
        served = "; ".join(f"{p.model_id} serves {p.universe}" for p in champions)
        raise ModelError(
            f"no model serves {', '.join(symbols)} together ({served}); next: tickercast train {' '.join(symbols)}, or "
            "choose a model with --model"
        )


def _promotions(entries: Any) -> list[Promotion]:
    if not isinstance(entries, list):
        raise TypeError("not a list of promotions")
    return [Promotion(**{**entry, "symbols": tuple(entry["symbols"])}) for entry in entries]
