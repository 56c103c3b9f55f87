"""What decides a backtest: settings, prices and the engine itself, so that one command can repeat it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from forecasting.bars import PriceSeries, hash_prices
from forecasting.config import BacktestConfig, Recipe, config_from_json, config_to_json
from forecasting.forecasts import Forecaster

_PACKAGES = ("arch", "exchange_calendars", "numpy", "pandas", "scikit-learn", "scipy", "scoringrules", "torch")
_SOURCES = ("bars.py", "config.py", "events.py", "forecasts.py", "sessions.py", "model/*.py", "evaluation/*.py")


@dataclass(frozen=True)
class BacktestPlan:
    """A backtest before it runs. The same plan gives the same scores to the last bit, on the same kind of machine.

    Parameters
    ----------
    recipe, config
    baselines : kind of `make_baselines`
    universe : symbols asked for, sorted
    last_session : the last session on which one of them has a bar, ISO date
    prices_sha256 : of all bars handed in
    engine_sha256 : of the source of `forecasting`
    packages : versions of what computes
    """

    recipe: Recipe
    config: BacktestConfig
    baselines: str
    universe: tuple[str, ...]
    last_session: str
    prices_sha256: str
    engine_sha256: str
    packages: Mapping[str, str]

    @property
    def backtest_id(self) -> str:
        """The name of its folder: the last session and a hash of the plan."""
        digest = hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()
        return f"walk-{self.last_session.replace('-', '')}-{digest[:10]}"

    def forecasters(self) -> list[Forecaster]:
        """Return the network of the recipe, and after it its baselines."""
        # torch is loaded to run a plan, not to read one: the dashboard starts without it
        from forecasting.evaluation.baselines import make_baselines
        from forecasting.model.forecaster import RNNForecaster

        recipe = self.recipe
        return [RNNForecaster(recipe), *make_baselines(recipe.horizon, recipe.levels, self.baselines, recipe)]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return {
            **vars(self) | {"universe": list(self.universe), "packages": dict(self.packages)},
            "recipe": config_to_json(self.recipe),
            "config": config_to_json(self.config),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a plan; raises TypeError, KeyError or UsageError where the values are not those of one."""
        return cls(
            **{
                **values,
                "recipe": config_from_json(Recipe, values["recipe"]),
                "config": config_from_json(BacktestConfig, values["config"]),
                "universe": tuple(values["universe"]),
            }
        )


def make_plan(
    series: Mapping[str, PriceSeries], recipe: Recipe, config: BacktestConfig, baselines: str = "standard"
) -> BacktestPlan:
    """Return the plan of a backtest of a recipe on price series by symbol, with the engine as it is."""
    return BacktestPlan(
        recipe,
        config,
        baselines,
        tuple(sorted(series)),
        max(s.sessions[-1] for s in series.values() if len(s)).date().isoformat(),
        hash_prices(series),
        _hash_engine(),
        {name: version(name) for name in _PACKAGES},
    )


def _hash_engine() -> str:
    """Hash the source of what a forecast or a score may depend on."""
    root = Path(__file__).parent.parent
    sources = [path for pattern in _SOURCES for path in sorted(root.glob(pattern))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
