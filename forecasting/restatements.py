"""What a source tells differently than before: which rows are new, which changed, and the likely cause.

Pure functions over canonical frames. A row of bars whose prices are NaN, or an event whose value is NaN,
says that the source has withdrawn it.
"""

import numpy as np
import pandas as pd

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS

BAR_KEY = ["symbol", "session"]
EVENT_KEY = ["symbol", "session", "kind"]
RESTATEMENT_COLUMNS = ["symbol", "first", "last", "bars", "withdrawn", "events", "largest", "cause"]

_SAME = 1e-6  # relative; sources give about seven digits
_FEW = 5  # bars that a source may correct one by one
_RATIOS = {1.5, *range(2, 11), 15.0, 20.0, 25.0, 30.0, 40.0, 50.0}
"""How many shares one becomes in the splits that happen."""

_UNIT = 100.0
_NEAR = 0.005  # relative; ratios of prices that were rounded
_SAME_EVENT = 1e-4  # relative; amounts that were rounded and divided by a split


def fresh_rows(rows: pd.DataFrame, stored: pd.DataFrame, keys: list[str], same: float = _SAME) -> pd.DataFrame:
    """Return the rows whose key is not stored, or whose numbers differ from all that are stored under it."""
    if not len(stored) or not len(rows):
        return rows
    values = _numbers(rows)
    numbered = rows.assign(row=np.arange(len(rows)))
    pairs = numbered.merge(stored[[*keys, *values]], on=keys, suffixes=("", "_stored"))
    before = pairs[[f"{c}_stored" for c in values]].to_numpy()
    known = np.isclose(pairs[values].to_numpy(), before, rtol=same, atol=0, equal_nan=True).all(axis=1)
    return rows[~np.isin(np.arange(len(rows)), pairs["row"][known])]


def compare_history(
    bars: pd.DataFrame,
    events: pd.DataFrame,
    quarantined: pd.DataFrame,
    stored_bars: pd.DataFrame,
    stored_events: pd.DataFrame,
    *,
    is_whole: bool,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the bars and events to add to the store, and the restatements that they are.

    Parameters
    ----------
    bars, events, quarantined : what a source has
    stored_bars, stored_events : latest rows of the same symbols
    is_whole : whether it is each symbol's whole history, so that what is missing from it was withdrawn;
        what lies before its first or after its last bar, or is in quarantine now, is not judged. Where its
        prices are on another scale, every stored bar that it does not have is withdrawn: a reader must
        not see both scales.
    """
    fresh = fresh_rows(bars, stored_bars, BAR_KEY)
    told = fresh_rows(events, stored_events, EVENT_KEY, _SAME_EVENT)
    if is_whole and len(stored_bars):
        held = stored_bars[stored_bars["close"].notna()]
        rescaled = held["symbol"].isin(_rescaled(bars, held))
        seen = pd.concat([bars[BAR_KEY], quarantined[BAR_KEY]])
        gone = [_withdrawn(held[~rescaled], bars, seen, BAR_KEY), _missing(held[rescaled], bars, BAR_KEY)]
        fresh = pd.concat([fresh, *(rows[BAR_COLUMNS] for rows in gone)])
        told = pd.concat([told, _withdrawn(stored_events, bars, events, EVENT_KEY)[[*EVENT_KEY, "value"]]])
    return fresh, told, _describe(fresh, told, stored_bars, stored_events)


def _withdrawn(stored: pd.DataFrame, bars: pd.DataFrame, seen: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the stored rows, their numbers NaN, that lie within the range of the bars and are not seen any more."""
    sessions = bars.groupby("symbol")["session"]
    first, last = (ends.reindex(stored["symbol"]).to_numpy() for ends in (sessions.min(), sessions.max()))
    return _missing(
        stored[(first <= stored["session"].to_numpy()) & (stored["session"].to_numpy() <= last)], seen, keys
    )


def _missing(held: pd.DataFrame, seen: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the rows whose key is not seen any more, their numbers NaN."""
    found = held[keys].merge(seen[keys].drop_duplicates(), on=keys, how="left", indicator=True)["_merge"] == "both"
    gone = held[~found.to_numpy()]
    return gone.assign(**dict.fromkeys(_numbers(gone), np.nan))


def _rescaled(bars: pd.DataFrame, held: pd.DataFrame) -> set[str]:
    """Return the symbols whose closes are on another scale than they were, all of them or up to some session."""
    shared = bars.merge(held, on=BAR_KEY, suffixes=("", "_stored"))
    ratios = (shared["close"] / shared["close_stored"]).to_numpy()
    shared, ratios = shared[np.abs(ratios - 1) > _SAME], ratios[np.abs(ratios - 1) > _SAME]
    common = held.groupby("symbol").size()
    return {
        str(symbol)
        for symbol, rows in shared.reset_index(drop=True).groupby("symbol")
        if len(rows) > _FEW and (_of_one_scale(ratios[rows.index]) or len(rows) > common[symbol] / 2)
    }


def _of_one_scale(ratios: np.ndarray) -> bool:
    return bool((np.abs(ratios / np.median(ratios) - 1) < _NEAR).all())


def _within(rows: pd.DataFrame, stored_bars: pd.DataFrame) -> pd.DataFrame:
    """Return the rows on sessions up to the last stored bar of their symbol."""
    last = stored_bars.groupby("symbol")["session"].max().reindex(rows["symbol"])
    return rows[rows["session"].to_numpy() <= last.to_numpy()]


def _numbers(rows: pd.DataFrame) -> list[str]:
    return [c for c in rows.columns if c in (*BAR_COLUMNS[2:], "value")]


def disagreeing(
    bars: pd.DataFrame, events: pd.DataFrame, stored_bars: pd.DataFrame, stored_events: pd.DataFrame
) -> set[str]:
    """Return the symbols whose overlap with the store differs in a price or an event, volume apart.

    A bar that one of the two lacks is no disagreement: sources drop and bring back single bars. To have
    none in common is one, since nothing then tells that both are on one scale.

    Parameters
    ----------
    bars, events : what the source answered
    stored_bars, stored_events : latest rows, from the beginning of each symbol's answer on
    """
    shared = bars.merge(stored_bars, on=BAR_KEY, suffixes=("", "_stored"))
    old, new = (shared[[f"{c}{suffix}" for c in PRICE_COLUMNS]].to_numpy() for suffix in ("_stored", ""))
    moved = ~np.isclose(new, old, rtol=_SAME, atol=0).all(axis=1)
    moved &= ~np.isnan(old).all(axis=1)  # a bar that comes back is new, not other
    past, kept = _within(events, stored_bars), _within(stored_events, stored_bars)
    told = [fresh_rows(*pair, EVENT_KEY, _SAME_EVENT) for pair in ((past, kept), (kept, past))]
    apart = set(stored_bars["symbol"]) - set(shared["symbol"])
    return apart | set(shared["symbol"][moved]) | {symbol for rows in told for symbol in rows["symbol"]}


def _describe(
    bars: pd.DataFrame, events: pd.DataFrame, stored_bars: pd.DataFrame, stored_events: pd.DataFrame
) -> pd.DataFrame:
    """Return a row per symbol whose stored past these new rows change.

    Columns `RESTATEMENT_COLUMNS`: `first` and `last` session concerned, how many `bars` changed and were
    `withdrawn`, how many `events` changed, the `largest` relative change of a close, the likely `cause`.
    """
    changed = _within(bars, stored_bars).merge(stored_bars, on=BAR_KEY, suffixes=("", "_stored"))
    changed = changed[changed["close_stored"].notna()]
    late = _within(events, stored_bars).merge(
        stored_events[[*EVENT_KEY, "value"]], on=EVENT_KEY, how="left", suffixes=("", "_stored")
    )
    rows = []
    for symbol in sorted({*changed["symbol"], *late["symbol"]}):
        its, told = changed[changed["symbol"] == symbol], late[late["symbol"] == symbol]
        sessions = pd.concat([its["session"], told["session"]])
        gone = its["close"].isna()
        ratios = (its["close"] / its["close_stored"])[~gone].to_numpy()
        largest = float(np.abs(ratios - 1).max(initial=0.0))
        counts = (int((~gone).sum()), int(gone.sum()), len(told), largest)
        rows.append((symbol, sessions.min(), sessions.max(), *counts, _likely_cause(ratios, int(gone.sum()), told)))
    return pd.DataFrame(rows, columns=RESTATEMENT_COLUMNS)


def _likely_cause(ratios: np.ndarray, withdrawn: int, events: pd.DataFrame) -> str:
    causes = [_event_cause(row) for row in events.itertuples()]
    if len(causes) > _FEW:
        causes = [f"{len(causes)} splits and dividends revised"]
    moved = ratios[np.abs(ratios - 1) > _SAME]
    if len(moved):
        causes.append(_price_cause(moved, "split" in set(events["kind"])))
    elif len(ratios):
        causes.append(f"volume or intraday prices of {_count(len(ratios), 'bar')} revised")
    if withdrawn:
        causes.append(f"{_count(withdrawn, 'bar')} withdrawn")
    return "; ".join(causes)


def _price_cause(ratios: np.ndarray, split_told: bool) -> str:
    ratio = float(np.median(ratios))
    times = max(ratio, 1 / ratio)
    if _of_one_scale(ratios):
        scaled = f"{_count(len(ratios), 'close')} times {ratio:.4g}"
        if abs(times / _UNIT - 1) < _NEAR:
            return f"{scaled}: a change of unit, such as pence and pounds"
        if any(abs(times / usual - 1) < _NEAR for usual in _RATIOS):
            return scaled if split_told else f"{scaled}: a split of which the source told no event"
    if len(ratios) <= _FEW:
        return f"{_count(len(ratios), 'close')} corrected"
    return f"{_count(len(ratios), 'close')} revised"


def _event_cause(event: object) -> str:
    kind, value, before = (getattr(event, name) for name in ("kind", "value", "value_stored"))
    day = event.session.date()  # type: ignore[attr-defined]
    if np.isnan(value):
        return f"the {kind} of {before:g} on {day} withdrawn"
    if np.isnan(before):
        return f"a {kind} of {value:g} on {day} told late"
    return f"the {kind} on {day} changed from {before:g} to {value:g}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
