"""An issued forecast as it is shown: with the prices it was made from, earlier ones beside it, and how old it is."""

from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from forecasting.bars import PriceSeries
from forecasting.charts import price_text
from forecasting.events import split_factors
from forecasting.forecasts import Forecast, explain_flags, flags_of
from forecasting.journal import newest
from forecasting.ledger import Ledger
from forecasting.ledger_rows import LEDGER_SCHEMA, forecast_of
from forecasting.restatements import EVENT_KEY
from forecasting.sessions import last_complete_session, session_numbers
from forecasting.store import PriceStore
from forecasting.tables import one_of
from forecasting.workspace import Workspace


@dataclass(frozen=True)
class IssuedForecast:
    """A symbol's newest forecast as it stands in the ledger.

    Parameters
    ----------
    rows : of the ledger, a row per horizon
    forecast : what they say
    series : bars up to the origin, as they were known when it was issued
    """

    rows: pd.DataFrame
    forecast: Forecast
    series: PriceSeries

    @property
    def remarks(self) -> list[str]:
        """What the forecast says of itself beside its numbers."""
        flags = flags_of(self.rows.sort_values("horizon"))
        return list(explain_flags(flags, self.forecast.target_sessions, self.forecast.report_widening).values())

    @property
    def is_replay(self) -> bool:
        """Whether no part of it was issued before its target session opened."""
        return bool((self.rows["mode"] == "replay").all())

    def sessions_behind(self, now: pd.Timestamp) -> int:
        """Return how many later sessions are complete at a UTC instant, none of which the forecast has seen."""
        calendar, origin = self.forecast.instrument.calendar, self.forecast.origin
        complete = max(last_complete_session(calendar, now), origin)
        seen, last = session_numbers(calendar, pd.DatetimeIndex([origin, complete]))
        return int(last - seen)


def read_issued(workspace: Workspace, symbol: str) -> IssuedForecast:
    """Return a symbol's newest forecast; it has one.

    Prices are read as they were known then: a later split or correction does not move them.
    """
    rows = Ledger(workspace.ledger).latest([symbol])
    known = PriceStore(workspace.prices).read([symbol], as_of=_known_at(rows))[symbol]
    forecast = forecast_of(rows, known.instrument)
    return IssuedForecast(rows, forecast, known.until(forecast.origin))


def read_earlier(workspace: Workspace, issued: IssuedForecast, count: int, apart: int = 5) -> list[Forecast]:
    """Return earlier forecasts of the same symbol as they were issued, oldest first.

    Parameters
    ----------
    count : of the newest of them, at most
    apart : sessions that lie at least between the origins of two; fans of neighbouring days hide each other

    Returns
    -------
    list of Forecast
        Of each origin the one issued last. Their prices are divided by the splits that became known between them and
        `issued`, and are otherwise what they were.
    """
    ledger, instrument = Ledger(workspace.ledger), issued.forecast.instrument
    of_symbol = one_of("symbol", [instrument.symbol], LEDGER_SCHEMA)
    first_ones = ledger.select(of_symbol & (ds.field("horizon") == 1), ["origin"])
    chosen: list[pd.Timestamp] = []
    origins = pd.DatetimeIndex(first_ones["origin"].unique()).sort_values()
    numbers = session_numbers(instrument.calendar, origins)
    last = numbers[origins.get_loc(issued.forecast.origin)]
    for origin, number in zip(origins[::-1], numbers[::-1], strict=True):
        if len(chosen) < count and number <= last - apart:
            chosen.append(origin)
            last = number
    rows = ledger.select(of_symbol & ds.field("origin").isin(pa.array(chosen, LEDGER_SCHEMA.field("origin").type)))
    splits = PriceStore(workspace.prices).told("events", ["kind", "value"], [instrument.symbol])
    splits = splits[splits["kind"] == "split"]
    found = []
    for origin, issues in rows.groupby("origin"):
        last_issue = issues[issues["model_id"] == issues["model_id"].iloc[-1]]
        one = forecast_of(last_issue, instrument)
        then, now = (_shares_since(origin, splits, _known_at(known)) for known in (last_issue, issued.rows))
        found.append(replace(one, last_close=one.last_close * then / now))
    return found


def range_table(forecast: Forecast) -> pd.DataFrame:
    """Return what a forecast says of each target session, for reading.

    Columns `target_session`, `horizon`, `estimated`, `prob_up`, `median` (price), and of each of its intervals
    `range_50`, `range_80` .. (prices, as text).
    """
    table = forecast.frame().rename(columns={0.5: "median"})
    table = table[["horizon", "estimated", "prob_up", "median"]]
    for coverage, interval in forecast.intervals().items():
        bounds = interval[["lower", "upper"]].itertuples(index=False)
        table[f"range_{100 * coverage:.0f}"] = [" – ".join(map(price_text, pair)) for pair in bounds]  # noqa: RUF001
    return table.reset_index()


def _known_at(rows: pd.DataFrame) -> pd.Timestamp:
    """Return the instant as of which what an issue rests on was known; a replay's `as_of` lies before its fetch."""
    return rows[["as_of", "data_as_of"]].max(axis=None)


def _shares_since(session: pd.Timestamp, splits: pd.DataFrame, known_at: pd.Timestamp) -> float:
    """Return by how much shares have multiplied since a session, by the splits known at an instant."""
    known = newest(splits[splits["known_at"] <= known_at], EVENT_KEY)
    ratios = known[known["value"].notna()].set_index("session")["value"]
    return float(split_factors(pd.DatetimeIndex([session]), ratios)[0])
