"""What a forecast is made of, stage by stage, as arrays that two runs can be compared by."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecasting.bars import PriceSeries
from forecasting.config import report_horizons
from forecasting.forecasts import Forecaster, RollingForecast
from forecasting.model.forecaster import RNNForecaster
from forecasting.sessions import count_closed

STAGES = (
    "prices",
    "features",
    "windows",
    "scales",
    "inputs",
    "targets",
    "weights",
    "network",
    "calibration",
    "forecasts",
)
"""In the order in which each rests on those before it."""

_NEARLY = 1e-6  # absolute and relative, where rows are missing or more: sums may then be taken in another order


@dataclass(frozen=True)
class Block:
    """One array of a stage.

    Parameters
    ----------
    stage : one of `STAGES`
    symbol : whose it is; empty where it belongs to the whole pool
    name : what it holds, unique within stage and symbol
    values : array (N, ...)
    rows : the session of each of N rows; None where they are no sessions
    axes : labels of each axis after the first
    calendar : of the sessions, where later ones may differ; None where all of them must be the same
    """

    stage: str
    symbol: str
    name: str
    values: np.ndarray
    rows: pd.DatetimeIndex | None = None
    axes: tuple[Sequence[str], ...] = ()
    calendar: str | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from the other blocks of a run."""
        return self.stage, self.symbol, self.name

    def until(self, instant: pd.Timestamp | None) -> "Block":
        """Return the rows whose session has closed by a UTC instant; all of them for None, or without a calendar."""
        if instant is None or self.rows is None or self.calendar is None:
            return self
        known = count_closed(self.calendar, self.rows, instant)
        return replace(self, rows=self.rows[:known], values=self.values[:known])


@dataclass(frozen=True)
class Difference:
    """The first value that came out differently.

    Parameters
    ----------
    stage : one of `STAGES`
    symbol : empty where the value belongs to the whole pool
    session : of the row; None where it belongs to none
    what : which value it is
    before, after : the value; NaN where it is not there
    """

    stage: str
    symbol: str
    session: pd.Timestamp | None
    what: str
    before: float
    after: float

    @property
    def sentence(self) -> str:
        """Where it is and what it was, in words.

        >>> Difference("features", "AAA", pd.Timestamp("2019-01-02"), "return_5", 0.5, 0.25).sentence
        'features of AAA on 2019-01-02, return_5: 0.5 became 0.25'
        """
        of = f" of {self.symbol}" if self.symbol else ""
        on = f" on {self.session.date()}" if self.session is not None else ""
        return f"{self.stage}{of}{on}, {self.what}: {self.before:.9g} became {self.after:.9g}"


def serving_blocks(forecaster: Forecaster, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> list[Block]:
    """Return what the forecasts from every origin at or after `first` are made of.

    Of the network that is features, volatility scales, its outputs, the offsets in force, and the forecasts. Of
    any other forecaster it is the forecasts.
    """
    blocks = list(_network_blocks(forecaster, series, first)) if isinstance(forecaster, RNNForecaster) else []
    return blocks + forecast_blocks(forecaster.name, forecaster.roll(series, first))


def _network_blocks(network: RNNForecaster, series: Mapping[str, PriceSeries], first: pd.Timestamp) -> Iterator[Block]:
    for symbol, features in network.features(series):
        calendar = series[symbol].instrument.calendar
        sessions = series[symbol].sessions[-len(features.values) :]
        begin = int(sessions.searchsorted(first))
        for name, values, labels in (
            ("inputs", features.values, features.names),
            ("log variances", features.log_variances, _numbered("log variance", features.log_variances.shape[1])),
            ("range variance", features.range_variance[:, None], ["range variance"]),
        ):
            yield Block("features", symbol, name, values[begin:], sessions[begin:], (labels,), calendar)
    tracked, levels = network.track(series, first), _levels(network.recipe.levels)
    for symbol, rows in tracked.rows.items():
        ahead, calendar = _horizons(range(1, rows.scale.shape[1] + 1)), series[symbol].instrument.calendar
        for stage, name, values, axes in (
            ("scales", "volatility", rows.scale, (ahead,)),
            ("network", "quantiles", rows.quantiles, (ahead, levels)),
            ("calibration", "offsets", tracked.offsets_on(rows.origins), (ahead, levels)),
        ):
            yield Block(stage, symbol, name, values, rows.origins, axes, calendar)


def forecast_blocks(name: str, forecasts: Mapping[str, RollingForecast]) -> list[Block]:
    """Return forecasts by symbol; `name` is that of the forecaster who made them."""
    blocks = []
    for symbol, f in forecasts.items():
        axes = (_horizons(range(1, f.values.shape[1] + 1)), _levels(f.levels))
        blocks.append(Block("forecasts", symbol, name, f.values, f.origins, axes, f.instrument.calendar))
    return blocks


def fit_blocks(forecaster: Forecaster, past: Mapping[str, PriceSeries]) -> list[Block]:
    """Return what a fit on a past made of it; nothing of a forecaster that is not the network.

    Which sessions its windows are drawn from, the scales fitted on them, the scaled inputs and targets, and the
    weights.
    """
    return list(_fit_blocks(forecaster, past)) if isinstance(forecaster, RNNForecaster) else []


def _fit_blocks(network: RNNForecaster, past: Mapping[str, PriceSeries]) -> Iterator[Block]:
    data, model = network.training_set(past), network.model
    ends = np.cumsum(data.lengths)[:-1]
    inputs, targets = (np.split(rows.numpy(), ends) for rows in (data.inputs, data.targets))
    for i, (symbol, sessions) in enumerate(data.rows_of):
        history, ahead = f"history {i + 1}", _horizons(report_horizons(network.recipe.horizon))
        yield Block("windows", symbol, history, np.ones(len(sessions)), sessions)
        yield Block("inputs", symbol, history, inputs[i], sessions, (_numbered("input", inputs[i].shape[1]),))
        yield Block("targets", symbol, history, targets[i], sessions, (ahead,))
    for name, fitted in (("mean", model.mean.numpy()), ("standard deviation", model.std.numpy())):
        yield Block("scales", "", f"{name} of input", fitted)
    yield Block("scales", "", "coefficient of the volatility scale", model.scale.coefficients)
    for name, weights in model.network.state_dict().items():
        yield Block("weights", "", name, weights.numpy())


def price_blocks(series: Mapping[str, PriceSeries]) -> list[Block]:
    """Return the bars by symbol, and which sessions are void."""
    return [
        block
        for symbol, s in series.items()
        for block in (
            Block("prices", symbol, "bars", s.bars.to_numpy(), s.sessions, (list(s.bars.columns),)),
            Block("prices", symbol, "void", np.ones(len(s.void)), s.void),
        )
    ]


def compare(
    before: Iterable[Block], after: Iterable[Block], instant: pd.Timestamp | None = None, exact: bool = True
) -> tuple[int, Difference | None]:
    """Compare two runs up to a UTC instant.

    Parameters
    ----------
    instant : rows of sessions that close later are not compared; None compares all
    exact : bit for bit; otherwise to 1e-6

    Returns
    -------
    compared : how many values were
    difference : the first by stage, then by order of the blocks; None where all are the same
    """
    one, other = ({b.key: b.until(instant) for b in blocks} for blocks in (before, after))
    compared, found = 0, []
    for key in [*one, *(k for k in other if k not in one)]:
        a, b = one.get(key) or _empty(other[key]), other.get(key) or _empty(one[key])
        compared += a.values.size
        if (difference := _first_difference(a, b, exact)) is not None:
            found.append(difference)
    return compared, min(found, key=lambda d: STAGES.index(d.stage), default=None)


def _empty(block: Block) -> Block:
    rows = None if block.rows is None else block.rows[:0]
    return replace(block, values=block.values[:0], rows=rows)


def _first_difference(a: Block, b: Block, exact: bool) -> Difference | None:
    if a.rows is not None and b.rows is not None and not a.rows.equals(b.rows):
        session = a.rows.symmetric_difference(b.rows)[0]
        present = (1.0 if session in rows else np.nan for rows in (a.rows, b.rows))
        return Difference(a.stage, a.symbol, session, f"{a.name}, a row", *present)
    if a.values.shape != b.values.shape:
        return Difference(a.stage, a.symbol, None, f"{a.name}, number of rows", len(a.values), len(b.values))
    same = _same_bits(a.values, b.values) if exact else _nearly_same(a.values, b.values)
    if same.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~same)[0])
    labels = [axis[i] for axis, i in zip(a.axes, at[1:], strict=False)]
    if a.rows is None:
        labels = [f"{a.name} {', '.join(str(i + 1) for i in at)}"]
    elif a.stage == "forecasts":
        labels = [a.name, *labels]
    session = None if a.rows is None else a.rows[at[0]]
    return Difference(
        a.stage, a.symbol, session, ", ".join(labels or [a.name]), float(a.values[at]), float(b.values[at])
    )


def _same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype != b.dtype:
        return np.zeros(a.shape, dtype=bool)
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return np.asarray(np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits))


def _nearly_same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.isclose(a, b, rtol=_NEARLY, atol=_NEARLY, equal_nan=True)


def _horizons(horizons: Iterable[int]) -> list[str]:
    return [f"{h} ahead" for h in horizons]


def _levels(levels: Sequence[float]) -> list[str]:
    return [f"level {level:g}" for level in levels]


def _numbered(what: str, count: int) -> list[str]:
    return [f"{what} {i + 1}" for i in range(count)]
