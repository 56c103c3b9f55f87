"""How long an honest evaluation takes, and what it finds, on validation years.

    python benchmarks/evaluation.py PARQUET                 (columns symbol, date, open .. volume)
    python benchmarks/evaluation.py PARQUET --whole         (all baselines, refitted yearly, on all cores)

Without --whole: one fit and one pass over every origin, on one thread; then scoring, and plain NumPy doing the
pinball losses of the same rows. With it: the printed comparison, and the network's coverage by horizon, by year with
90% block-bootstrap intervals, and by tercile of the volatility known at the origin.

The test part of the benchmark universe, 2016 to 2018, was read once, after everything had been chosen; refitted yearly,
and fitted on the years to 2013 alone:

    python benchmarks/evaluation.py PARQUET --whole --until 2018-12-31 --test-sessions 754
    python benchmarks/evaluation.py PARQUET --whole --until 2018-12-31 --test-sessions 754 --refit-every 0 --embargo 504
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from forecasting import (
    BacktestConfig,
    PriceSeries,
    Recipe,
    RNNForecaster,
    Workers,
    make_headline,
    make_plan,
    make_series,
    save_backtest,
    score_backtest,
    walk_forward,
)
from forecasting.evaluation.breakdown import score_rows
from forecasting.evaluation.significance import skill_interval


def load(path: str, symbols: int, until: str) -> dict[str, PriceSeries]:
    bars = pd.read_parquet(Path(path)).rename(columns={"date": "session"})
    chosen = sorted(bars["symbol"].unique())[:symbols]
    return make_series(bars[bars["symbol"].isin(chosen) & (pd.to_datetime(bars["session"]) <= pd.Timestamp(until))])


def timed(what: str, work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    print(f"{what:58s} {seconds:8.2f} s", flush=True)
    return result, seconds


def peak_mb(who: int = resource.RUSAGE_SELF) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def measure_one_pass(series: dict[str, PriceSeries], config: BacktestConfig) -> None:
    forecaster = RNNForecaster(Recipe())
    fits: list[float] = []
    fit = forecaster.fit

    def timed_fit(*args: Any) -> Any:
        began = time.perf_counter()
        result = fit(*args)
        fits.append(time.perf_counter() - began)
        return result

    forecaster.fit = timed_fit  # type: ignore[method-assign]
    backtest, seconds = timed(
        "walk without refits, training included", lambda: walk_forward([forecaster], series, config)
    )
    print(f"{'  of it every origin forecast and calibrated':58s} {seconds - sum(fits):8.2f} s")
    (forecasts,) = backtest.forecasts.values()
    rows, scoring = timed(
        "every score of every (origin, horizon)", lambda: score_rows(forecasts, backtest.outcomes, backtest.series)
    )
    values = np.concatenate([f.values.reshape(-1, f.values.shape[-1]) for f in forecasts.values()])
    outcomes = np.concatenate([o.ravel() for o in backtest.outcomes.values()])[:, None]
    levels = np.array(next(iter(forecasts.values())).levels)
    _, plain = timed(
        "plain NumPy: their pinball losses alone",
        lambda: np.where(outcomes < values, (1 - levels) * (values - outcomes), levels * (outcomes - values)),
    )
    print(f"{len(rows):,} rows: {1e6 * scoring / len(rows):.2f} s a million, {scoring / plain:.1f} times plain NumPy")
    print(f"peak memory {peak_mb():,.0f} MB")


def measure_whole(series: dict[str, PriceSeries], config: BacktestConfig, jobs: int) -> None:
    plan = make_plan(series, Recipe(), config, "all")
    walk = lambda: walk_forward(plan.forecasters(), series, config, workers=Workers(jobs))  # noqa: E731
    backtest, walking = timed(f"walk of {len(plan.forecasters())} forecasters, {jobs} processes", walk)
    comparison, scoring = timed("scores, tests and intervals of all", lambda: score_backtest(backtest))
    with TemporaryDirectory() as folder:
        _, saving = timed("files and report", lambda: save_backtest(backtest, comparison, plan, Path(folder)))
    workers = peak_mb(resource.RUSAGE_CHILDREN)
    print(
        f"together {(walking + scoring + saving) / 60:.1f} min; peak memory {peak_mb():,.0f} MB, "
        f"a worker's {workers:,.0f} MB\n"
    )
    with pd.option_context("display.width", 200, "display.max_columns", 50, "display.float_format", "{:.4f}".format):
        print(make_headline(comparison.scores).to_string(index=False))
        names = [c.removeprefix("skill_") for c in comparison.scores if c.startswith("skill_")]
        table = comparison.scores.set_index("horizon")
        for kind, what in (("skill", "skill, %"), ("p", "p")):
            shown = table[[f"{kind}_{name}" for name in names]].T.set_axis(names) * (100 if kind == "skill" else 1)
            print(f"\nnetwork against each: {what}\n{shown.to_string()}")
    (_, own), *_ = backtest.forecasts.items()
    print_coverage(score_rows(own, backtest.outcomes, backtest.series, comparison.scores["horizon"]))
    print("\nalarms:", *[alarm.sentence for alarm in comparison.alarms] or ["none"], sep="\n")


def print_coverage(rows: pd.DataFrame) -> None:
    """Print the share of outcomes inside each interval, in %."""
    hits = [c for c in rows if c.startswith("hit_")]
    shares = 100 * rows.groupby("horizon")[hits].mean().rename(columns=lambda c: c.removeprefix("hit_"))
    print(f"\ncoverage, %\n{shares.to_string(float_format='{:.1f}'.format)}")
    by_year = []
    for (year, horizon), group in rows.groupby(["year", "horizon"]):
        missed = 1 - group.groupby("origin")[hits].mean()  # the mean over the symbols of each date
        found = {"horizon": horizon, "year": year}
        for hit in hits:
            low, high = skill_interval(missed[hit].to_numpy(), np.ones(len(missed)), int(horizon))
            found[hit.removeprefix("hit_")] = f"{100 * group[hit].mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"
        by_year.append(found)
    table = pd.DataFrame(by_year).sort_values(["horizon", "year"])
    print(f"\ncoverage by year, % (90% interval)\n{table.to_string(index=False)}")
    terciles = 100 * rows.groupby(["horizon", "tercile"])[hits].mean()
    spread = terciles.groupby("horizon").agg(lambda x: x.max() - x.min()).assign(tercile="spread")
    table = pd.concat([terciles.reset_index(), spread.reset_index()]).sort_values("horizon", kind="stable")
    print(f"\ncoverage by tercile of volatility, %\n{table.to_string(index=False, float_format='{:.1f}'.format)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--until", default="2015-12-31", help="the test part of the benchmark universe is later")
    parser.add_argument("--test-sessions", type=int, default=756)
    parser.add_argument("--refit-every", type=int, default=252, help="sessions, 0 for never; with --whole")
    parser.add_argument("--embargo", type=int, default=0, help="sessions left out before the test; with --whole")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    series = load(arguments.data, arguments.symbols, arguments.until)
    print(f"{len(series)} symbols, {sum(map(len, series.values())):,} bars; test: {arguments.test_sessions} sessions\n")
    if arguments.whole:
        config = BacktestConfig(arguments.test_sessions, arguments.refit_every or None, embargo=arguments.embargo)
        measure_whole(series, config, arguments.jobs)
    else:
        measure_one_pass(series, BacktestConfig(arguments.test_sessions, None))


if __name__ == "__main__":
    main()
