"""Scores of issued forecasts whose outcome is known, beside those of the random walk issued with them.

Scores follow from the ledger and the prices alone: the folder can be deleted and is then rebuilt, every row the
same to the last bit. An evening scores what matured, what was restated and what was issued since the last one.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from forecasting.chain import Head
from forecasting.evaluation.scores import COVERAGES, brier, coverage_hits, crps, pit_bins
from forecasting.forecasts import central_intervals
from forecasting.ledger import Ledger
from forecasting.outcomes import find_outcomes
from forecasting.store import PriceStore
from forecasting.tables import all_of, append_rows, one_of, read_table, replace_rows, to_frame
from forecasting.tidying import tidy_parts
from forecasting.workspace import read_json, write_json

SCORE_KEY = ["sequence", "view"]
SCORES_SCHEMA = pa.schema(
    [
        ("sequence", pa.int64()),
        ("view", pa.string()),
        ("model_id", pa.string()),
        ("mode", pa.string()),
        ("symbol", pa.string()),
        ("origin", pa.date32()),
        ("horizon", pa.int32()),
        ("target_session", pa.date32()),
        ("outcome", pa.float64()),
        ("known_at", pa.timestamp("us", tz="UTC")),
        ("crps", pa.float64()),
        ("crps_random_walk", pa.float64()),
        *((f"hit_{coverage * 100:.0f}", pa.bool_()) for coverage in COVERAGES),
        ("pit_bin", pa.int16()),
        ("brier", pa.float64()),
    ]
)
"""Columns of the scores; `data/README.md` says what they mean."""

_ISSUED = ["sequence", "model_id", "mode", "symbol", "origin", "horizon", "target_session"]
_SCORED = ["levels", "values", "random_walk", "prob_up"]
_RANGED = ("sequence", "symbol", "origin", "target_session")
_PART = "month"  # of the target session: the files of a month are merged, and no other
_STATE = "_state.json"  # Delta leaves alone what begins with an underscore
_AT_ONCE = 500  # symbols scored at a time on an evening, after which a few sessions are new
_BATCH = 20  # symbols scored at a time where there may be years to score
_EVENING = (20, 100_000)  # changed sessions and new records up to which it is one
_MOST_NAMED = 5_000  # records replaced at a time


@dataclass(frozen=True)
class ScoreReport:
    """What was scored.

    Parameters
    ----------
    matured : records of the ledger that have a score for the first time
    restated : records whose score changed, because their prices did
    unpriced : symbols in the ledger of which there are no prices
    head : of the ledger, by which its records can be verified later
    """

    matured: int
    restated: int
    unpriced: tuple[str, ...]
    head: Head


class _Seen(NamedTuple):
    """What the scores take into account: prices known until an instant, and so many records."""

    known_until: pd.Timestamp
    records: int


_NOTHING_SEEN = _Seen(pd.Timestamp(0, tz="UTC"), 0)


class Scores:
    """Scores under a workspace's `scores` folder. Who updates them holds the workspace's lock.

    Parameters
    ----------
    root
        The folder; it is created by the first update after an issue.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(
        self,
        view: str | None = None,
        symbols: Sequence[str] | None = None,
        model_id: str | None = None,
        horizons: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        mode: str | None = None,
        first: pd.Timestamp | None = None,
        last: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Return scores in the order of issue, those of one view together; `data/README.md` has the columns.

        Parameters
        ----------
        view : of `VIEWS`; None for both
        horizons : sessions ahead
        mode : `live` or `replay`; None for both
        first, last : origins, inclusive; None for any
        """
        wanted = {"view": view and [view], "symbol": symbols, "model_id": model_id and [model_id]}
        condition = all_of({**wanted, "horizon": horizons, "mode": mode and [mode]}, SCORES_SCHEMA)
        tests = [condition] if condition is not None else []
        tests += [ds.field("origin") >= first.date()] if first is not None else []
        tests += [ds.field("origin") <= last.date()] if last is not None else []
        names = list(columns or SCORES_SCHEMA.names)
        rows = self._select(reduce(and_, tests) if tests else None, list(dict.fromkeys([*names, *SCORE_KEY])))
        return rows.sort_values(["view", "sequence"], ignore_index=True)[names]

    def update(self, ledger: Ledger, store: PriceStore) -> ScoreReport:
        """Score what the ledger and the prices have that was not taken into account yet.

        Raises
        ------
        DataError
            The ledger has lost its last records.
        WorkspaceError
            They cannot be written; the next update goes on where this one was.
        """
        head, issued, priced = ledger.head(), ledger.last_origins().index, store.instruments()
        seen, now = self._seen(), _Seen(store.known_until, head.rows)
        if now.known_until < seen.known_until or now.records < seen.records:  # other prices, or another ledger
            seen = _NOTHING_SEEN
        matured = restated = 0
        for symbols, concerned in _batches([s for s in issued if s in priced], ledger, store, seen, now):
            forecasts = ledger.select(concerned, [*_ISSUED, *_SCORED])
            scores = to_frame(_typed(make_scores(forecasts, _outcomes(forecasts, store, symbols))))  # as they are read
            before = self._select(concerned)
            matured += len(set(scores["sequence"]) - set(before["sequence"]))
            restated += self._put(scores, before)
        if now != seen and head.rows:
            state = {"known_until": now.known_until.isoformat(), "records": now.records}
            write_json(self._root / _STATE, state)
        with suppress(Exception):  # all is scored; the next update tries again
            tidy_parts(self._root, "symbol", _PART)
        return ScoreReport(matured, restated, tuple(s for s in issued if s not in priced), head)

    def _put(self, scores: pd.DataFrame, before: pd.DataFrame) -> int:
        """Write the scores that are not there yet or are others; return of how many records they were others."""
        scores, before = scores.set_index(SCORE_KEY), before.set_index(SCORE_KEY)
        both = scores.index.intersection(before.index)
        new, old = scores.loc[both], before.loc[both]
        same = ((new == old) | (new.isna() & old.isna())).all(axis=1)
        records = scores.index.get_level_values("sequence")
        others = sorted({key[0] for key in (*both[~same], *before.index.difference(both))})
        for begin in range(0, len(others), _MOST_NAMED):
            named = others[begin : begin + _MOST_NAMED]
            rows = _stored(scores[records.isin(named)])
            replace_rows(self._root, rows, rows.schema, f"sequence IN ({', '.join(map(str, named))})")
        fresh = scores[~scores.index.isin(both) & ~records.isin(others)]
        if len(fresh):
            rows = _stored(fresh.sort_values(["symbol", "sequence"]))
            append_rows(self._root, rows, rows.schema, part=_PART)
        return len(others)

    def _select(self, condition: ds.Expression | None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        return to_frame(read_table(self._root, SCORES_SCHEMA, condition, columns, ranged=_RANGED))

    def _seen(self) -> _Seen:
        try:
            return read_json(
                self._root / _STATE, lambda state: _Seen(pd.Timestamp(state["known_until"]), int(state["records"]))
            )
        except FileNotFoundError:
            return _NOTHING_SEEN


def _batches(
    issued: Sequence[str], ledger: Ledger, store: PriceStore, seen: _Seen, now: _Seen
) -> Iterator[tuple[Sequence[str], ds.Expression]]:
    """Yield symbols with the condition, on the ledger and the scores, of rows that are to be scored, perhaps anew."""
    new = ds.field("sequence") > seen.records
    closes, splits = _changes(store, seen)
    concerned = {*ledger.select(new, ["symbol"])["symbol"], *closes["symbol"], *splits["symbol"]}
    symbols = [symbol for symbol in issued if symbol in concerned]
    evening = closes["session"].nunique() <= _EVENING[0] and now.records - seen.records <= _EVENING[1]
    size = _AT_ONCE if evening else _BATCH
    for begin in range(0, len(symbols), size):
        batch = symbols[begin : begin + size]
        days = pa.array(closes["session"][closes["symbol"].isin(batch)].unique(), SCORES_SCHEMA.field("origin").type)
        tests = [new, ds.field("origin").isin(days), ds.field("target_session").isin(days)]
        for symbol, session in splits[["symbol", "session"]][splits["symbol"].isin(batch)].itertuples(index=False):
            between = (ds.field("origin") < session.date()) & (ds.field("target_session") >= session.date())
            tests.append((ds.field("symbol") == symbol) & between)
        yield batch, one_of("symbol", batch, SCORES_SCHEMA) & reduce(or_, tests)


def _changes(store: PriceStore, seen: _Seen) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the closes and the splits that were told since, none where no record was seen: then all are new."""
    symbols: list[str] | None = None if seen.records else []
    closes, events = (
        store.told(table, columns, symbols, since=seen.known_until)
        for table, columns in (("bars_1d", []), ("events", ["kind"]))
    )
    return closes, events[events["kind"] == "split"]


def _outcomes(forecasts: pd.DataFrame, store: PriceStore, symbols: Sequence[str]) -> pd.DataFrame:
    """Return the outcomes of forecasts of some symbols, as `find_outcomes` has them."""
    first = forecasts["origin"].min() if len(forecasts) else None
    closes, events = store.told("bars_1d", ["close"], symbols, first), store.told("events", ["kind", "value"], symbols)
    return find_outcomes(forecasts, closes, events[events["kind"] == "split"])


def make_scores(forecasts: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of ledger rows, one row per outcome.

    Parameters
    ----------
    forecasts : rows of the ledger
    outcomes : of `find_outcomes`; `row` is a label of `forecasts`

    Returns
    -------
    DataFrame
        The columns of `SCORES_SCHEMA`. `crps_random_walk` is NaN where no random walk was issued with the forecast,
        `hit_..` is None where its levels hold no such interval.
    """
    rows = forecasts.loc[outcomes["row"]].reset_index(drop=True)
    rows = rows.assign(**{name: outcomes[name].to_numpy() for name in ("view", "outcome")})
    rows["known_at"] = outcomes["known_at"].array
    levels = rows["levels"].map(lambda x: np.asarray(x).tobytes())
    parts = [_score(part) for _, part in rows.groupby(levels, sort=False)]
    return (pd.concat(parts).sort_index() if parts else rows).reindex(columns=SCORES_SCHEMA.names)


def _score(rows: pd.DataFrame) -> pd.DataFrame:
    """Score rows that are on the same levels."""
    levels = tuple(rows["levels"].iloc[0])
    values, outcomes = np.stack(rows["values"].to_list()), rows["outcome"].to_numpy()
    walked = rows["random_walk"].notna().to_numpy()
    walks = np.full(len(rows), np.nan)
    if walked.any():
        walks[walked] = crps(np.stack(rows["random_walk"][walked].to_list()), outcomes[walked], levels)
    held = central_intervals(levels)
    hits = {
        f"hit_{coverage * 100:.0f}": coverage_hits(values, outcomes, levels, coverage).astype(bool)
        if coverage in held
        else None
        for coverage in COVERAGES
    }
    return rows.assign(
        crps=crps(values, outcomes, levels),
        crps_random_walk=walks,
        **hits,
        pit_bin=pit_bins(values, outcomes).astype("int16"),
        brier=brier(rows["prob_up"].to_numpy(), outcomes),
    )


def _typed(scores: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(scores, SCORES_SCHEMA, preserve_index=False)


def _stored(scores: pd.DataFrame) -> pa.Table:
    """Return scores, indexed by their key, with the part that each belongs to."""
    months = scores["target_session"].to_numpy("datetime64[M]").astype(str)
    return _typed(scores.reset_index()).append_column(_PART, pa.array(months, pa.string()))
