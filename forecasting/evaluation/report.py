"""A finished backtest in its folder: written, and read back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from forecasting.errors import DataError, UsageError
from forecasting.evaluation.alarms import LEAKS
from forecasting.evaluation.comparison import Comparison
from forecasting.evaluation.exhibits import Exhibit, make_exhibits
from forecasting.evaluation.findings import Findings
from forecasting.evaluation.html.page import make_page
from forecasting.evaluation.plan import BacktestPlan
from forecasting.evaluation.verdicts import Verdict, judge_in_words, make_verdicts, sum_up
from forecasting.evaluation.walkforward import Backtest
from forecasting.workspace import write_atomic, write_json, writing

FORECASTS, SCORES, MANIFEST = "forecasts.parquet", "scores.csv", "backtest.json"
"""Files of a backtest's folder; one without a manifest was never published."""

_PAGE, _TABLES = "report.html", "tables"


@dataclass(frozen=True)
class BacktestReport:
    """A finished backtest as the CLI prints and the dashboard shows it.

    Parameters
    ----------
    folder : its files; the name is the backtest's ID
    plan : what decided it
    universe : symbols it is pooled over
    excluded : why symbols were left out of it, by symbol
    test_first, test_last : origins, ISO dates
    data_as_of : UTC instant as of which the prices were read, ISO; None where they came from no store
    alarms : what looks too good or is off, as sentences
    suspected_leak : whether one of them suspects a leak
    scores : as `Comparison.scores`
    """

    folder: Path
    plan: BacktestPlan
    universe: tuple[str, ...]
    excluded: Mapping[str, str]
    test_first: str
    test_last: str
    data_as_of: str | None
    alarms: tuple[str, ...]
    suspected_leak: bool
    scores: pd.DataFrame

    @property
    def backtest_id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def page(self) -> Path:
        """The report for people: one HTML file that needs nothing else."""
        return self.folder / _PAGE

    @cached_property
    def table_paths(self) -> dict[str, Path]:
        """The CSV file of each of `Comparison.tables`, by name."""
        return {path.stem: path for path in sorted((self.folder / _TABLES).glob("*.csv"))}

    def table(self, name: str) -> pd.DataFrame:
        """Return one of `Comparison.tables` by name.

        Raises
        ------
        DataError
            There is none, or it cannot be read.
        """
        try:
            table = pd.read_csv(_table_path(self.folder, name), converters={"symbol": str})  # NA is a symbol
        except (OSError, ValueError) as error:
            raise _not_whole(self.folder, error) from error
        return table.assign(origin=pd.to_datetime(table["origin"])) if "origin" in table else table

    @cached_property
    def findings(self) -> Findings:
        """What it found."""
        return Findings(self.scores, {name: self.table(name) for name in self.table_paths})

    def exhibits(self) -> list[Exhibit]:
        """Return the figures of `page`, but for fans."""
        return make_exhibits(self.findings)

    @cached_property
    def _by_symbol(self) -> dict[str, list[Verdict]]:
        rows = self.table("symbol")
        own = rows[rows["forecaster"] == rows["forecaster"].iloc[0]].drop(columns=["forecaster"])
        own = own.drop(columns=[c for c in own if c.startswith("p_")]).rename(columns=lambda c: _adjusted(str(c)))
        keys = ["symbol", "horizon"]
        crps = rows.pivot_table(index=keys, columns="forecaster", values="crps", sort=False).add_prefix("crps_")
        scores = own.merge(crps.reset_index(), on=keys)
        verdicts: dict[str, list[Verdict]] = {}
        for symbol, verdict in zip(scores["symbol"], make_verdicts(scores), strict=True):
            verdicts.setdefault(symbol, []).append(verdict)
        return verdicts

    def verdicts(self, symbol: str | None = None) -> list[Verdict]:
        """Return the verdict at each horizon scored: pooled, or of one symbol.

        Of one symbol, p-values are adjusted for that many symbols were tested (`adjust_p_values`).

        Raises
        ------
        DataError
            The symbol was not in the backtest.
        """
        if symbol is None:
            return make_verdicts(self.scores)
        if symbol not in self.universe:
            raise DataError(f"{symbol} was not in backtest {self.backtest_id}; next: tickercast backtest {symbol}")
        return self._by_symbol[symbol]

    def summary(self) -> str:
        """Return the pooled verdict at all horizons in one sentence, the same everywhere it is shown."""
        verdicts = self.verdicts()
        return (
            ("Suspected leak, not a success. " if self.suspected_leak else "")
            + f"Against {judge_in_words(verdicts)}, from {self.test_first} to {self.test_last} and pooled over "
            f"{len(self.universe)} {'symbol' if len(self.universe) == 1 else 'symbols'}, {sum_up(verdicts)}"
            + (f" Left out: {'; '.join(self.excluded.values())}." if self.excluded else "")
        )

    def summary_of(self, symbol: str) -> str:
        """Return what the backtest says of one symbol; where it was not in it, that the verdict is pooled."""
        if symbol not in self.universe:
            return f"{symbol} has no backtest of its own: the verdict is pooled over {len(self.universe)} others."
        if len(self.universe) == 1:
            return ""
        return (
            f"Of {symbol} alone, with p adjusted for {len(self.universe)} symbols tested, "
            f"{sum_up(self.verdicts(symbol))}"
        )


def _adjusted(column: str) -> str:
    return f"p_{column.removeprefix('q_')}" if column.startswith("q_") else column


def save_backtest(
    backtest: Backtest,
    comparison: Comparison,
    plan: BacktestPlan,
    backtests: Path,
    data_as_of: pd.Timestamp | None = None,
) -> BacktestReport:
    """Write plan, folds, forecasts, scores and the report for people, and return the report.

    The folder is named by the plan: the same prices and settings write the same folder again.

    Parameters
    ----------
    data_as_of : UTC instant as of which the store was read
    """
    folder = backtests / plan.backtest_id
    content: dict[str, Any] = {
        "plan": plan.to_json(),
        "universe": sorted(backtest.outcomes),
        "excluded": dict(sorted(backtest.excluded.items())),
        "test_first": backtest.folds[0].test_first.date().isoformat(),
        "test_last": backtest.folds[-1].test_last.date().isoformat(),
        "data_as_of": None if data_as_of is None else data_as_of.isoformat(),
        "folds": [{name: str(day.date()) for name, day in asdict(fold).items()} for fold in backtest.folds],
        "alarms": [alarm.sentence for alarm in comparison.alarms],
        "suspected_leak": any(alarm.kind in LEAKS for alarm in comparison.alarms),
    }
    with writing(folder / FORECASTS) as handle:
        _write_forecasts(backtest, handle)
    for name, table in comparison.tables.items():
        write_atomic(_table_path(folder, name), table.to_csv(index=False))
    write_atomic(folder / SCORES, comparison.scores.to_csv(index=False))
    report = _build(folder, content, comparison.scores)
    write_atomic(report.page, make_page(backtest, comparison, plan, report.summary(), data_as_of))
    write_json(folder / MANIFEST, content)  # last
    return report


def _table_path(folder: Path, name: str) -> Path:
    return folder / _TABLES / f"{name}.csv"


def _build(folder: Path, content: Mapping[str, Any], scores: pd.DataFrame) -> BacktestReport:
    report = BacktestReport(
        folder,
        BacktestPlan.from_json(content["plan"]),
        tuple(content["universe"]),
        content["excluded"],
        content["test_first"],
        content["test_last"],
        content["data_as_of"],
        tuple(content["alarms"]),
        content["suspected_leak"],
        scores,
    )
    report.verdicts()
    return report


def _write_forecasts(backtest: Backtest, handle: BinaryIO) -> None:
    """Write Parquet, one forecaster after the other: all of them at once would take twice their memory."""
    first, *others = backtest.forecasts
    table = forecast_table(backtest, first)
    with pq.ParquetWriter(handle, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        for name in others:
            writer.write_table(forecast_table(backtest, name))


def forecast_table(backtest: Backtest, name: str) -> pa.Table:
    """Return a forecaster's rows, one per symbol, origin and horizon: outcome and quantiles, log returns."""
    tables = []
    for symbol, rolling in backtest.forecasts[name].items():
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
        content = json.loads((folder / MANIFEST).read_text())
        return _build(folder, content, pd.read_csv(folder / SCORES))
    except (OSError, ValueError, TypeError, KeyError, UsageError) as error:
        raise _not_whole(folder, error) from error


def _not_whole(folder: Path, error: Exception) -> DataError:
    return DataError(f"backtest {folder.name} is not whole ({error!r}); next: tickercast backtest")
