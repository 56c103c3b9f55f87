"""The registry: which model serves a universe, and how it came to."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from forecasting.errors import ModelError
from forecasting.workspace import read_json, write_json


@dataclass(frozen=True)
class Promotion:
    """One entry of the registry: from `at` (UTC, ISO 8601) on, `model_id` serves `universe`."""

    universe: str
    model_id: str
    at: str
    reason: str


class Registry:
    """Promotions under a workspace's `models` folder; the last one of a universe names its champion."""

    def __init__(self, models: Path) -> None:
        self._path = models / "registry.json"

    def promotions(self) -> list[Promotion]:
        """Return all promotions, oldest first."""
        if not self._path.exists():
            return []
        return [Promotion(**entry) for entry in read_json(self._path)]

    def promote(self, universe: str, model_id: str, at: pd.Timestamp, reason: str) -> None:
        """Make a model the champion of a universe; earlier promotions stay on record."""
        if any(p.model_id == model_id for p in self.promotions()[-1:] if p.universe == universe):
            return
        entries = [*self.promotions(), Promotion(universe, model_id, at.isoformat(), reason)]
        write_json(self._path, [asdict(p) for p in entries])

    def champion(self, universe: str | None = None) -> Promotion:
        """Return the promotion in force for a universe; for none, the newest of all.

        Raises
        ------
        ModelError
            Nothing was promoted.
        """
        found = [p for p in self.promotions() if universe in (None, p.universe)]
        if not found:
            raise ModelError(
                f"no model serves {universe or 'this workspace'} yet; next: tickercast run --source sample, or "
                "tickercast train"
            )
        return found[-1]
