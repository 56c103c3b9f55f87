"""Measure the price store beside plain pyarrow on the same rows: bulk write, daily upserts, reads, size, memory.

    python benchmarks/price_store.py
    python benchmarks/price_store.py --symbols 100 --sessions 2500 --upserts 50

What is plain is a sorted Parquet file, with a small file more for each upsert: no history of what was known
when, no comparison with what is stored, no commit that readers see at once.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from forecasting.bars import BAR_COLUMNS
from forecasting.events import no_events
from forecasting.instruments import Instrument
from forecasting.sessions import calendar_sessions
from forecasting.store import PriceStore

_KNOWN = pd.Timestamp("2020-01-01 22:00", tz="UTC")
_GROUP = 16_384  # rows of a row group, as the store has them
_OVERLAP = 7  # sessions that a fetch brings again, to confirm what is stored


def make_bars(symbols: list[str], sessions: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    """Return canonical bars of random prices, ordered by symbol and session."""
    rng = np.random.default_rng(seed)
    n = len(symbols) * len(sessions)
    close = np.round(rng.lognormal(4, 1, n), 4)
    return pd.DataFrame(
        {
            "symbol": pd.Series(np.repeat(symbols, len(sessions)), dtype=str),
            "session": np.tile(sessions.to_numpy(), len(symbols)),
            "open": close,
            "high": np.round(close * 1.01, 4),
            "low": np.round(close * 0.99, 4),
            "close": close,
            "volume": rng.integers(10**5, 10**7, n).astype("float64"),
        }
    )[BAR_COLUMNS]


def timed(action: Callable[[], object], times: int) -> tuple[float, float]:
    """Return the median and the largest milliseconds of an action."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)) * 1e3, max(seconds) * 1e3


def folder_mb(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def peak_mb(action: str, root: Path) -> float:
    """Return by how many megabytes a fresh process grows at most while it does an action (Linux)."""
    code = (
        "from pathlib import Path; import pandas, pyarrow.dataset; from deltalake import DeltaTable;"
        "from forecasting.store import PriceStore;"
        "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) / 1e3;"
        f"root = Path({str(root)!r}); store = PriceStore(root); before = peak(); out = {action}; print(peak() - before)"
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--upserts", type=int, default=250)
    asked = parser.parse_args()

    symbols = [f"S{i:04d}" for i in range(asked.symbols)]
    days = calendar_sessions("XNYS")[: asked.sessions + asked.upserts]
    instruments = [Instrument.from_symbol(s, "files") for s in symbols]
    nothing = make_bars([], days[:0])
    quarters = days[: asked.sessions : 63]
    dividends = pd.DataFrame(
        {
            "symbol": pd.Series(np.repeat(symbols, len(quarters)), dtype=str),
            "session": np.tile(quarters.to_numpy(), len(symbols)),
            "kind": "dividend",
            "value": 0.5,
        }
    )
    whole = make_bars(symbols, days)

    def bars_of(first: int, end: int) -> pd.DataFrame:
        """Return the bars of all symbols on some of the days, by position."""
        rows = np.arange(len(symbols))[:, None] * len(days) + np.arange(first, end)
        return whole.take(rows.ravel()).reset_index(drop=True)

    bulk = bars_of(0, asked.sessions)
    table_mb = pa.Table.from_pandas(bulk).nbytes / 1e6
    rows: list[tuple[str, float, float, float]] = []

    with tempfile.TemporaryDirectory() as place:
        root, plain = Path(place) / "prices", Path(place) / "plain"
        plain.mkdir()
        store = PriceStore(root)

        def append(bars: pd.DataFrame, known_at: pd.Timestamp, whole: list[str]) -> None:
            events = dividends if whole else no_events()
            store.append(instruments, bars, events, nothing.assign(rule=""), known_at, whole=whole)

        def write_plain(bars: pd.DataFrame, name: str) -> None:
            pq.write_table(pa.Table.from_pandas(bars), plain / f"{name}.parquet", row_group_size=_GROUP)

        ours = timed(lambda: append(bulk, _KNOWN, symbols), 1)
        rows.append(("bulk write", *ours, timed(lambda: write_plain(bulk, "bulk"), 1)[0]))
        first_mb, plain_mb = folder_mb(root), folder_mb(plain)

        ours_ms, plain_ms = [], []
        for k in range(asked.upserts):
            end = asked.sessions + k + 1
            answer, day = bars_of(end - 1 - _OVERLAP, end), bars_of(end - 1, end)
            known_at = _KNOWN + pd.Timedelta(days=k + 1)
            ours_ms.append(timed(lambda answer=answer, at=known_at: append(answer, at, []), 1)[0])
            plain_ms.append(timed(lambda day=day, k=k: write_plain(day, f"day{k:04d}"), 1)[0])
        rows.append((f"one day, all symbols ({asked.upserts}x)", np.median(ours_ms), max(ours_ms), np.median(plain_ms)))

        symbol = symbols[len(symbols) // 2]
        files = [str(f) for f in plain.glob("*.parquet")]
        merged = plain / "bulk.parquet"
        pq.write_table(ds.dataset(files).to_table().sort_by([("symbol", "ascending")]), merged, row_group_size=_GROUP)
        # beside a file that somebody has merged and sorted since the last upsert
        rows.append(
            (
                "one symbol",
                *timed(lambda: store.read([symbol]), 25),
                timed(lambda: pq.read_table(merged, filters=ds.field("symbol") == symbol).to_pandas(), 25)[0],
            )
        )
        rows.append(
            (
                "all closes",
                *timed(store.read_closes, 5),
                timed(lambda: pq.read_table(merged, columns=["symbol", "session", "close"]).to_pandas(), 5)[0],
            )
        )
        print(f"{asked.symbols} symbols x {asked.sessions} sessions, {asked.upserts} daily upserts; milliseconds\n")
        print(f"{'':32}{'store':>10}{'slowest':>10}{'pyarrow':>10}{'ratio':>8}")
        for name, ms, most, beside in rows:
            print(f"{name:32}{ms:10.1f}{most:10.1f}{beside:10.1f}{ms / beside:8.1f}")
        grown = asked.upserts / asked.sessions
        print(
            f"\nsize: {first_mb:.0f} MB after the bulk write (pyarrow {plain_mb:.0f}), {folder_mb(root):.0f} MB after "
            f"the upserts, which brought {grown:.0%} more rows and {asked.upserts} commits"
        )
        print(f"table in memory: {table_mb:.0f} MB; a process that reads grows at most by")
        for name, action in (
            ("one symbol", f"store.read([{symbol!r}])"),
            ("all closes", "store.read_closes()"),
            ("sorting all files anew", "DeltaTable(str(root / 'bars_1d')).optimize.z_order(['symbol'])"),
        ):
            peak = peak_mb(action, root)
            print(f"  {name:30}{peak:6.0f} MB, {peak / table_mb:.1f} of the table")


if __name__ == "__main__":
    main()
