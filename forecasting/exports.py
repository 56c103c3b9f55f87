"""CSV files of issued forecasts: long for programs, wide for spreadsheets. `data/README.md` has the columns."""

from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.workspace import write_atomic

LONG_COLUMNS = [
    "model_id", "as_of", "mode", "symbol", "origin", "horizon", "target_session", "estimated", "target",
    "currency", "last_close", "output_type", "output_type_id", "value",
]  # fmt: skip
_KEPT = LONG_COLUMNS[:8]


def long_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ledger rows as the long export: one row per forecast, target, output type and its ID.

    `target` is `close` (in `currency`) or `log_return` (natural, from the last close). Quantile levels
    are the `output_type_id` of `quantile`; `pmf` gives the probabilities of `down` and `up`.
    """
    parts = []
    head = [*_KEPT, "currency", "last_close"]
    for row in rows.to_dict("records"):
        returns = np.asarray(row["values"], dtype="float64")
        closes = row["last_close"] * np.exp(returns)
        middle = len(returns) // 2
        for target, values, mean in (("close", closes, [row["expected"]]), ("log_return", returns, [])):
            types = [("quantile", format(level, "g"), v) for level, v in zip(row["levels"], values, strict=True)]
            types += [("median", "", values[middle]), *(("mean", "", v) for v in mean)]
            parts += [(target, *t, row) for t in types]
        parts += [
            ("log_return", "pmf", "down", 1 - row["prob_up"], row),
            ("log_return", "pmf", "up", row["prob_up"], row),
        ]
    return pd.DataFrame(
        [
            {
                **{name: row[name] for name in head},
                "target": target,
                "output_type": kind,
                "output_type_id": identity,
                "value": value,
            }
            for target, kind, identity, value, row in parts
        ],
        columns=LONG_COLUMNS,
    )


def wide_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ledger rows as the wide export: a row per symbol and target session, price quantiles in columns."""
    head = rows[[*_KEPT, "currency", "last_close", "prob_up", "expected"]].reset_index(drop=True)
    levels = [format(level, "g") for level in rows["levels"].iloc[0]]
    prices = np.exp(np.stack(rows["values"].to_list())) * rows["last_close"].to_numpy()[:, None]
    return head.join(pd.DataFrame(prices, columns=[f"q{level}" for level in levels]))


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV: dates and instants in ISO 8601, numbers so that they read back exactly."""
    out = table.copy()
    for column in out.columns:
        if isinstance(out[column].dtype, pd.DatetimeTZDtype):
            out[column] = out[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        elif pd.api.types.is_datetime64_dtype(out[column]):
            out[column] = out[column].dt.strftime("%Y-%m-%d")
    return str(out.to_csv(index=False, lineterminator="\n"))


def export_forecasts(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Write an issue's long and wide CSV and replace `latest.csv` and `latest-wide.csv`; return the four paths."""
    stem = f"forecast-{rows['origin'].max():%Y-%m-%d}-{rows['model_id'].iloc[0]}"
    written = []
    for suffix, table in (("", long_table(rows)), ("-wide", wide_table(rows))):
        text = csv_text(table)
        for name in (f"{stem}{suffix}.csv", f"latest{suffix}.csv"):
            write_atomic(folder / name, text)
            written.append(folder / name)
    return written
