"""Measure an evening without training: many symbols with long histories, each step, and the memory it takes.

    python benchmarks/evening.py
    python benchmarks/evening.py --symbols 125 --sessions 2500

A synthetic market is fetched and a model trained once, with one epoch. Twenty sessions later an evening catches up on
all of them, so that the next one, which is measured, has forecasts from 20 origins to score. Then the same evening once
more, with nothing to do. Each evening runs in a process of its own, whose processor time and peak memory are of all of
it, imports included.

What is plain is a process that reads the same bars from a Parquet file and runs a bare nn.RNN of the same size over
every history: no store, no features, no calibration, no ledger, no scores, no files.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import torch
from torch import nn

from forecasting.bars import BAR_COLUMNS
from forecasting.config import NetworkConfig, Recipe, TrainingConfig
from forecasting.events import no_events
from forecasting.ingestion.provider import Fetched, FetchRequest, FetchResult, Provider
from forecasting.ingestion.synthetic import make_market
from forecasting.instruments import Instrument
from forecasting.retraining import retrain
from forecasting.sessions import calendar_sessions, session_close
from forecasting.universe import Universe, make_universe
from forecasting.workspace import Workspace

_LAST = pd.Timestamp("2024-06-28")  # the session of the measured evening
_MISSED = 20  # sessions between the training and the evening that catches up
_EVENINGS = {"train": -_MISSED - 2, "catch up": -2, "evening": -1, "again": -1}  # and their session
_RECIPE = Recipe(training=TrainingConfig(epochs=1))
_NO_TRAINING = 10**6  # sessions
_INPUTS, _OUTPUTS, _BATCH = 32, 66, 50  # of the bare network


class Market(Provider):
    """Serves the bars of a Parquet file, of all sessions or of those since some session."""

    source = "walks"  # no embedded source, so that old prices are looked for
    calendar = "XNYS"

    def __init__(self, path: Path, since: pd.Timestamp) -> None:
        rows = pq.read_table(path, filters=ds.field("session") >= pa.scalar(since, pa.timestamp("us"))).to_pandas()
        self._bars = dict(list(rows.groupby("symbol")))

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the bars within the request."""
        bars = self._bars[request.symbol]
        within = bars["session"].between(request.first, request.last)
        return Fetched(Instrument.from_symbol(request.symbol, self.source), bars[within], no_events())


def days_of(sessions: int) -> pd.DatetimeIndex:
    days = calendar_sessions("XNYS")
    return days[days <= _LAST][-sessions:]


def universe_of(symbols: int) -> Universe:
    return Universe("benchmark", make_universe([f"SYN{i}" for i in range(1, symbols + 1)]).symbols)


def make_bars(path: Path, symbols: int, sessions: int) -> None:
    """Write the market's bars, symbol by symbol."""
    writer, days = None, days_of(sessions)
    for symbol in universe_of(symbols).symbols:
        bars = make_market(symbol, sessions=days).drop(columns="volatility").reset_index().assign(symbol=symbol)
        rows = pa.Table.from_pandas(bars[BAR_COLUMNS], preserve_index=False)
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
    if writer:
        writer.close()


def run_evening(place: Path, what: str, symbols: int, sessions: int) -> dict[str, Any]:
    """Run one of `_EVENINGS` and return the steps' counts and seconds."""
    days = days_of(sessions)
    day = days[_EVENINGS[what]]
    return run_day(place, symbols, day, days[0] if what == "train" else day - pd.Timedelta(days=90))


def run_day(place: Path, symbols: int, day: pd.Timestamp, since: pd.Timestamp) -> dict[str, Any]:
    """Run the evening of a session, to which the market serves its bars from a session on."""
    market = Market(place / "bars.parquet", since)
    now = session_close("XNYS", day) + pd.Timedelta(hours=2)
    report = retrain(
        Workspace(place / "workspace"),
        universe_of(symbols),
        market,
        _RECIPE,
        train_every=_NO_TRAINING,
        clock=lambda: now,
    )
    if report.exit_code:
        raise SystemExit(report.summary)
    return {"summary": report.summary, "steps": [(s.name, s.seconds, dict(s.counts)) for s in report.steps]}


def run_plain(place: Path, symbols: int, sessions: int) -> dict[str, Any]:
    """Read the bars and run the bare network over as many sequences."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    bars = pq.read_table(place / "bars.parquet").to_pandas()
    read = time.perf_counter() - began
    hidden = NetworkConfig().hidden
    cells, head = nn.RNN(_INPUTS, hidden, batch_first=True), nn.Linear(hidden, _OUTPUTS)
    with torch.no_grad():
        for _ in range(0, symbols, _BATCH):
            head(cells(torch.randn(min(_BATCH, symbols), sessions, _INPUTS))[0])
    seconds = time.perf_counter() - began - read
    return {"summary": "", "steps": [("read", read, {"bars": len(bars)}), ("network", seconds, {"symbols": symbols})]}


def measure(place: Path, what: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a part of this script prints in a process of its own, with the seconds it took."""
    size = ["--symbols", str(arguments.symbols), "--sessions", str(arguments.sessions)]
    began = time.perf_counter()
    out = subprocess.run(
        [sys.executable, __file__, *size, "--one", str(place), what], check=True, stdout=subprocess.PIPE, text=True
    )
    return {**json.loads(out.stdout), "wall": time.perf_counter() - began}


def show(what: str, told: dict[str, Any]) -> None:
    print(f"\n{what}: {told['summary']}" if told["summary"] else f"\n{what}")
    for name, seconds, counts in told["steps"]:
        print(f"  {name:10}{seconds:8.2f} s  {', '.join(f'{count:,} {of}' for of, count in counts.items())}")
    print(
        f"  {'in all':10}{told['wall']:8.2f} s, {told['cpu']:.2f} s of the processor, {told['peak']:,.0f} MB at most",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--keep", type=Path, help="an empty folder for the workspace, to look at afterwards")
    parser.add_argument("--one", nargs=2, metavar=("PLACE", "PART"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = (arguments.symbols, arguments.sessions)
    if arguments.one:
        place, part = Path(arguments.one[0]), arguments.one[1]
        told = run_plain(place, *size) if part == "plain" else run_evening(place, part, *size)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # in kB, on Linux
        print(json.dumps({**told, "cpu": time.process_time(), "peak": peak}))
        return
    print(f"{arguments.symbols} symbols x {arguments.sessions} sessions", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.keep or Path(temporary)
        make_bars(place / "bars.parquet", *size)
        told = {}
        for part in (*_EVENINGS, "plain"):
            told[part] = measure(place, part, arguments)
            show(part, told[part])
        ours, plain = told["evening"], told["plain"]
        ratios = ", ".join(f"{name} {ours[name] / plain[name]:.1f}" for name in ("wall", "cpu", "peak"))
        print(f"\nthe evening as a ratio to what is plain: {ratios}")


if __name__ == "__main__":
    main()
