"""A backtest held against its repetition, to the last bit."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecasting.errors import DataError
from forecasting.evaluation.comparison import Comparison
from forecasting.evaluation.report import FORECASTS, SCORES, BacktestReport, forecast_table
from forecasting.evaluation.walkforward import Backtest


def first_difference(report: BacktestReport, backtest: Backtest, comparison: Comparison) -> str | None:
    """Return where a repetition first differs from what was written, to the last bit; None where it does not.

    Raises
    ------
    DataError
        The forecasts cannot be read.
    """
    path = report.folder / FORECASTS
    try:
        names = pc.unique(pq.read_table(path, columns=["forecaster"])["forecaster"]).to_pylist()
        if names != list(backtest.forecasts):
            return f"forecasts of {', '.join(names)} were written, those of {', '.join(backtest.forecasts)} are found"
        for name in names:
            written = pq.read_table(path, filters=[("forecaster", "=", name)])
            if difference := _difference(written, forecast_table(backtest, name)):
                return difference
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"backtest {report.backtest_id} is not whole ({error!r}); next: tickercast backtest") from error
    if comparison.scores.to_csv(index=False) != (report.folder / SCORES).read_text():
        return f"{SCORES}, of the same forecasts"
    return None


def _difference(written: pa.Table, found: pa.Table) -> str | None:
    """Return where a forecaster's rows first differ from those that were written."""
    keys = ["forecaster", "symbol", "origin", "horizon"]
    if written.num_rows != found.num_rows:
        return f"{written.num_rows} forecasts of {found['forecaster'][0]} were written, {found.num_rows} are found"
    for column in (*keys, "outcome"):
        if not written[column].cast(pa.string()).equals(found[column].cast(pa.string())):
            return f"the column {column} of {FORECASTS}"
    before, after = (table["values"].combine_chunks().flatten().to_numpy() for table in (written, found))
    if not (apart := np.flatnonzero(before != after)).size:
        return None
    at = int(apart[0])
    row = found.slice(at * found.num_rows // len(after), 1).select(keys).to_pylist()[0]
    return (
        f"the forecast of {row['forecaster']} for {row['symbol']} from {row['origin']}, {row['horizon']} ahead: "
        f"{before[at]:.9g} was written, {after[at]:.9g} is found"
    )
