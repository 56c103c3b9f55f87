"""What a backtest found, in words and in files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.config import BacktestConfig, Recipe, config_to_json
from forecasting.errors import DataError
from forecasting.evaluation.walkforward import Backtest
from forecasting.workspace import write_atomic, write_json

SIGNIFICANT = 0.05
_IN_WORDS = {
    "random_walk": "a random walk with rolling historical quantiles",
    "random_walk_ewma": "a random walk with EWMA volatility",
    "har": "a HAR volatility scale with fixed quantiles",
}
JUDGE = "random_walk_ewma"
"""The baseline a verdict is against."""


@dataclass(frozen=True)
class Verdict:
    """Whether the network beats doing nothing at a horizon, and whether that is luck.

    Parameters
    ----------
    horizon : sessions ahead
    skill : 1 - ratio of the CRPS to the baseline's; positive is better than the baseline
    p_value : two-sided Diebold-Mariano
    strongest : the baseline with the lowest CRPS at this horizon
    strongest_skill : the skill against it
    """

    horizon: int
    skill: float
    p_value: float
    strongest: str
    strongest_skill: float

    @property
    def word(self) -> str:
        """`beats`, `ties with` or `loses to`."""
        if not self.p_value < SIGNIFICANT:
            return "ties with"
        return "beats" if self.skill > 0 else "loses to"

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        text = (
            f"{self.horizon} {'session' if self.horizon == 1 else 'sessions'} ahead the network {self.word} "
            f"{_IN_WORDS[JUDGE]}: CRPS {_compared(self.skill)}, p = {self.p_value:.2g}"
        )
        if self.strongest != JUDGE:
            name = _IN_WORDS.get(self.strongest, self.strongest)
            text += f"; the strongest baseline is {name}, CRPS {_compared(self.strongest_skill)}"
        return text


def _compared(skill: float) -> str:
    return f"{abs(skill):.1%} {'lower' if skill > 0 else 'higher'}"


@dataclass(frozen=True)
class BacktestReport:
    """A finished backtest as the CLI prints and the dashboard shows it.

    Parameters
    ----------
    backtest_id : name of its folder
    universe : symbols it is pooled over
    excluded : why symbols were left out of it, by symbol
    test_first, test_last : origins, ISO dates
    recipe : as JSON values
    scores : as `score_backtest` returns them
    """

    backtest_id: str
    universe: tuple[str, ...]
    excluded: Mapping[str, str]
    test_first: str
    test_last: str
    recipe: Mapping[str, Any]
    scores: pd.DataFrame

    def verdicts(self) -> list[Verdict]:
        """Return the verdict at each horizon scored."""
        baselines = [c.removeprefix("skill_") for c in self.scores.columns if c.startswith("skill_")]
        verdicts = []
        for row in self.scores.to_dict("records"):
            crps = {name: row[f"crps_{name}"] for name in baselines}
            strongest = min(crps, key=crps.__getitem__)
            verdicts.append(
                Verdict(row["horizon"], row[f"skill_{JUDGE}"], row[f"p_{JUDGE}"], strongest, row[f"skill_{strongest}"])
            )
        return verdicts

    def summary(self) -> str:
        """Return all horizons in one sentence, the same everywhere it is shown."""
        by_word: dict[str, list[str]] = {}
        for verdict in self.verdicts():
            by_word.setdefault(verdict.word, []).append(str(verdict.horizon))
        parts = [f"{word} it at {', '.join(horizons)}" for word, horizons in by_word.items()]
        return (
            f"Against {_IN_WORDS[JUDGE]}, from {self.test_first} to {self.test_last} and pooled over "
            f"{len(self.universe)} {'symbol' if len(self.universe) == 1 else 'symbols'}, the network "
            f"{'; '.join(parts)} sessions ahead (p < {SIGNIFICANT})."
            + self._stronger()
            + (f" Left out: {'; '.join(self.excluded.values())}." if self.excluded else "")
        )

    def _stronger(self) -> str:
        """Say where a baseline other than the judge scored better than the network."""
        at: dict[str, list[str]] = {}
        for verdict in self.verdicts():
            if verdict.strongest != JUDGE and verdict.strongest_skill < 0:
                at.setdefault(verdict.strongest, []).append(str(verdict.horizon))
        return "".join(
            f" At {', '.join(horizons)}, {_IN_WORDS.get(name, name)} scored better than the network."
            for name, horizons in at.items()
        )


def save_backtest(
    backtest: Backtest, scores: pd.DataFrame, recipe: Recipe, config: BacktestConfig, backtests: Path
) -> BacktestReport:
    """Write config, folds, forecasts and scores of a backtest, and return its report.

    The folder is named by its content: the same data and settings write the same folder again.
    """
    universe = tuple(sorted(backtest.outcomes))
    content: dict[str, Any] = {
        "universe": list(universe),
        "excluded": dict(sorted(backtest.excluded.items())),
        "test_first": backtest.folds[0].test_first.date().isoformat(),
        "test_last": backtest.folds[-1].test_last.date().isoformat(),
        "recipe": config_to_json(recipe),
        "config": config_to_json(config),
        "folds": [{name: str(day.date()) for name, day in asdict(fold).items()} for fold in backtest.folds],
    }
    table = scores.to_csv(index=False)
    digest = hashlib.sha256((json.dumps(content, sort_keys=True) + table).encode()).hexdigest()
    backtest_id = f"walk-{backtest.folds[-1].test_last:%Y%m%d}-{digest[:10]}"
    folder = backtests / backtest_id
    sink = pa.BufferOutputStream()
    pq.write_table(_forecast_table(backtest), sink, compression="zstd")
    write_atomic(folder / "forecasts.parquet", sink.getvalue().to_pybytes())
    write_atomic(folder / "scores.csv", table)
    write_json(folder / "backtest.json", content)  # last: a folder without it was never published
    return load_report(folder)


def _forecast_table(backtest: Backtest) -> pa.Table:
    """Return one row per forecaster, symbol, origin and horizon: outcome and quantiles, log returns."""
    tables = []
    for name, by_symbol in backtest.forecasts.items():
        for symbol, rolling in by_symbol.items():
            n, horizon, levels = rolling.values.shape
            tables.append(
                pa.table(
                    {
                        "forecaster": pa.array([name] * (n * horizon)).dictionary_encode(),
                        "symbol": pa.array([symbol] * (n * horizon)).dictionary_encode(),
                        "origin": pa.array(np.repeat(rolling.origins.to_numpy().astype("datetime64[D]"), horizon)),
                        "horizon": np.tile(np.arange(1, horizon + 1, dtype="int32"), n),
                        "outcome": backtest.outcomes[symbol].ravel(),
                        "values": pa.FixedSizeListArray.from_arrays(rolling.values.astype("float32").ravel(), levels),
                    }
                )
            )
    return pa.concat_tables(tables).unify_dictionaries()


def load_report(folder: Path) -> BacktestReport:
    """Return the report of a backtest from its folder.

    Raises
    ------
    DataError
        The folder holds no finished backtest.
    """
    try:
        content = json.loads((folder / "backtest.json").read_text())
        report = BacktestReport(
            folder.name,
            tuple(content["universe"]),
            content["excluded"],
            content["test_first"],
            content["test_last"],
            content["recipe"],
            pd.read_csv(folder / "scores.csv"),
        )
        report.verdicts()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"backtest {folder.name} is not whole ({error!r}); next: tickercast backtest") from error
    return report


def find_report(backtests: Path, universe: Sequence[str], recipe: Mapping[str, Any]) -> BacktestReport | None:
    """Return the newest backtest of a recipe on exactly these symbols, if there is one.

    Parameters
    ----------
    universe, recipe : as a model's manifest has them; damaged backtests are passed over
    """
    manifests = sorted(backtests.glob("*/backtest.json"), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in manifests:
        with suppress(DataError):
            report = load_report(path.parent)
            if {*report.universe, *report.excluded} == set(universe) and report.recipe == recipe:
                return report
    return None
