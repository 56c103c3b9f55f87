"""The audit: what an origin cannot know is made different, and nothing at the origin may change.

The future of an origin is every bar whose session closes after it does, and every row of the store that was known
later (`futures.py`). It is replaced by noise, removed, and continued by more noise. Where values are replaced,
shapes stay, and what is compared must be the same bit for bit; where rows go or come, to 1e-6.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from tempfile import TemporaryDirectory

import pandas as pd

from forecasting.bars import all_dates
from forecasting.config import BacktestConfig, Progress, no_progress
from forecasting.evaluation.audit.futures import COPIES, alter_future, restate_store
from forecasting.evaluation.audit.origins import (
    Series,
    choose_usable,
    first_closes,
    only_fold,
    spread_instants,
)
from forecasting.evaluation.audit.stages import (
    STAGES,
    Block,
    Difference,
    compare,
    fit_blocks,
    forecast_blocks,
    price_blocks,
    serving_blocks,
)
from forecasting.evaluation.baselines import make_baselines
from forecasting.evaluation.folds import Fold
from forecasting.evaluation.walkforward import walk_forward
from forecasting.forecasts import Forecaster
from forecasting.model.forecaster import RNNForecaster
from forecasting.store import PriceStore

_ORIGINS = 3  # whose future is altered; more where there are more exchanges
_TESTED = 60  # sessions of the fold

Maker = Callable[[Series], Forecaster]
"""Makes a forecaster, not fitted, of the whole histories its maker has; an honest one makes no use of them."""


@dataclass(frozen=True)
class Leak:
    """A value that changed with the future, or with what was known later.

    Parameters
    ----------
    difference : the first value that changed
    instant : UTC; what lies after it was altered
    how : one of `COPIES`, or "restated" for rows of the store
    """

    difference: Difference
    instant: pd.Timestamp
    how: str

    @property
    def sentence(self) -> str:
        """What changed, and with what, in words."""
        after = f"{self.instant:%Y-%m-%d %H:%M} UTC"
        altered = f"what was known after {after}" if self.how == "restated" else f"every bar closing after {after}"
        return f"{self.difference.sentence} when {altered} was {self.how}"


@dataclass(frozen=True)
class Check:
    """One part of the audit.

    Parameters
    ----------
    name : what was checked, in words
    instants : UTC; the closes of the origins whose future was altered
    copies : how many altered futures were compared with the true one
    values : how many values were compared
    leak : the first one by stage; None where nothing changed
    """

    name: str
    instants: tuple[pd.Timestamp, ...]
    copies: int
    values: int
    leak: Leak | None


@dataclass(frozen=True)
class AuditReport:
    """What an audit checked and found.

    Parameters
    ----------
    subject : what was audited
    symbols : it was audited on
    checks : in order
    left_out : why symbols were not part of it, by symbol
    """

    subject: str
    symbols: tuple[str, ...]
    checks: tuple[Check, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def leak(self) -> Leak | None:
        """The first leak of the first check that found one; None where nothing changed."""
        return next((check.leak for check in self.checks if check.leak), None)

    def summary(self) -> str:
        """Return the outcome in a sentence."""
        compared = f"{sum(c.values for c in self.checks):,} values under {sum(c.copies for c in self.checks)} futures"
        if self.leak is None:
            return f"no leak found in {self.subject}: {compared} are what they were"
        name = next(check.name for check in self.checks if check.leak)
        return f"{self.subject} leaks ({name}): {self.leak.sentence}"


def audit_forecasts(
    forecaster: Forecaster,
    series: Series,
    first: pd.Timestamp,
    name: str = "forecasts",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Check:
    """Alter the future of origins at or after `first`, and compare what a fitted forecaster says up to each.

    Of the network each stage is compared, of another forecaster its forecasts.

    Parameters
    ----------
    series : whole histories by symbol; each with enough bars before `first`
    first : date after all that the forecaster was fitted on
    """

    def run(world: Series) -> list[Block]:
        return serving_blocks(forecaster, world, first)

    instants = spread_instants(series, max(first_closes(series, first)), _ORIGINS)
    return _check(name, series, instants, run, seed, progress)


def audit_fit(
    make: Maker,
    series: Series,
    fold: Fold,
    name: str = "a fresh fit",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Check:
    """Alter all that closes after a fold's first origin, fit on its training part again, and compare fit and forecast.

    Of the network that is the training windows, scales, inputs, targets and weights, then what its forecasts are made
    of. Of another forecaster it is what it forecasts after the fit.
    """

    def run(world: Series) -> list[Block]:
        past = fold.training_part(world)
        forecaster = make(world).fit(past)
        return [*fit_blocks(forecaster, past), *serving_blocks(forecaster, world, fold.test_first)]

    return _check(name, series, [min(first_closes(series, fold.test_first))], run, seed, progress)


def audit_fold(
    make: Callable[[Series], Sequence[Forecaster]],
    series: Series,
    fold: Fold,
    name: str = "a backtest fold",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Check:
    """Alter the future of several origins of a fold, walk forward again, and compare all forecasts up to each.

    The walk is that of a backtest, `walk_forward`, fitted once, from the fold's first origin to the last bar.
    """

    def run(world: Series) -> list[Block]:
        tested = int((all_dates(world) >= fold.test_first).sum())
        backtest = walk_forward(make(world), world, BacktestConfig(tested, refit_every=None))
        return [block for name, rolled in backtest.forecasts.items() for block in forecast_blocks(name, rolled)]

    # from where on each symbol has an origin: without its own, removing the future would leave it out of the test
    instants = spread_instants(series, max(first_closes(series, fold.test_first)), _ORIGINS)
    return _check(name, series, instants, run, seed, progress)


def audit_store(
    store: PriceStore,
    symbols: Sequence[str],
    read: Callable[[PriceStore, pd.Timestamp], Series] | None = None,
    name: str = "stored prices",
    seed: int = 0,
) -> Check:
    """Add to a copy of a store rows that were known later, and compare what is read as of before them.

    Parameters
    ----------
    symbols
    read : reads series from a store as of a UTC instant; by default `PriceStore.read` does
    """
    read = read or (lambda of, as_of: of.read(symbols, as_of))
    as_of = store.known_until
    with TemporaryDirectory() as folder:
        restated = restate_store(store, symbols, folder, seed)
        values, found = compare(price_blocks(read(store, as_of)), price_blocks(read(restated, as_of)))
    if store.known_until != as_of:  # a fetch came between the readings
        return audit_store(store, symbols, read, name, seed)
    return Check(name, (as_of,), 1, values, Leak(found, as_of, "restated") if found else None)


def audit_network(
    network: RNNForecaster, series: Series, seed: int = 0, progress: Progress = no_progress
) -> tuple[list[Check], dict[str, str]]:
    """Audit a fitted network, a fresh fit of its recipe, and a backtest fold with its baselines.

    The network is fitted for one epoch: what it can learn from the future, it learns in its first steps.

    Parameters
    ----------
    series : whole histories by symbol, with bars after those that the network was trained on

    Returns
    -------
    checks
    left_out : why symbols have no part in a check, by symbol

    Raises
    ------
    TooFewBars
        No symbol has enough bars.
    """
    recipe = replace(network.recipe, training=replace(network.recipe.training, epochs=1))
    after_training = network.model.trained_until + pd.Timedelta(days=1)
    served, unserved = choose_usable(series, network.needs, after_training)
    first = all_dates(served)[-max(_TESTED, recipe.horizon + _ORIGINS) :][0]

    def make(_: Series) -> RNNForecaster:
        return RNNForecaster(recipe)

    def make_all(world: Series) -> list[Forecaster]:
        return [make(world), *make_baselines(recipe.horizon, recipe.levels, recipe=recipe)]

    tested, untested = choose_usable(served, max(f.needs for f in make_all(served)), first)
    fold = only_fold(tested, first)
    checks = [
        audit_forecasts(network, served, after_training, "forecasts of the model", seed, progress),
        audit_fit(make, tested, fold, "a fresh fit, one epoch", seed, progress),
        audit_fold(make_all, tested, fold, "a backtest fold and its baselines", seed, progress),
    ]
    return checks, unserved | untested


def _check(
    name: str,
    series: Series,
    instants: Sequence[pd.Timestamp],
    run: Callable[[Series], list[Block]],
    seed: int,
    progress: Progress,
) -> Check:
    """Run once on the series and once on each altered copy, and compare; stop after the first origin with a leak."""
    steps = 1 + len(instants) * len(COPIES)
    progress(name, 0, steps)
    before, copies, values, leaks = run(series), 0, 0, list[Leak]()
    for instant in instants:
        for how in COPIES:
            after = run(alter_future(series, instant, how, seed))
            count, found = compare(before, after, instant, exact=how == "replaced")
            copies, values = copies + 1, values + count
            leaks += [Leak(found, instant, how)] if found else []
            progress(name, 1 + copies, steps)
        if leaks:
            break
    first = min(leaks, key=lambda leak: STAGES.index(leak.difference.stage), default=None)
    return Check(name, tuple(instants), copies, values, first)
