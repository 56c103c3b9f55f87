"""The price store: bars as traded and their events, append-only, with the instant each row was known.

Nothing is overwritten. A correction is a new row with a later `known_at`, one that the source withdrew is
a row of NaN; `forecasting.stored_prices` reads them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from forecasting.instruments import Instrument, instrument_facts, require_same_kind
from forecasting.price_tables import FETCH_COLUMNS
from forecasting.restatements import BAR_KEY, compare_history, fresh_rows
from forecasting.stored_prices import StoredPrices


@dataclass(frozen=True)
class Appended:
    """What an append changed.

    Parameters
    ----------
    bars : how many are new or other than before
    quarantined : how many were not in quarantine before
    restatements : of the past, by symbol
    """

    bars: int
    quarantined: int
    restatements: pd.DataFrame


class PriceStore(StoredPrices):
    """Prices under a workspace's `prices` folder, which can be added to.

    Parameters
    ----------
    root
        The folder; it is created by the first write.
    """

    def append(
        self,
        instruments: Iterable[Instrument],
        bars: pd.DataFrame,
        events: pd.DataFrame,
        quarantined: pd.DataFrame,
        known_at: pd.Timestamp,
        *,
        whole: Collection[str] = (),
        fetches: pd.DataFrame | None = None,
    ) -> Appended:
        """Add what is new or has changed; readers see all of it or nothing.

        Parameters
        ----------
        bars, events : canonical frames, as traded
        quarantined : bars with a column `rule`, kept apart and readable by `quarantined`
        known_at : UTC instant; where the clock stood still or went back, the next after the last append counts
        whole : symbols whose whole history this is: what is stored within its range and missing from it
            was withdrawn by the source
        fetches : what was asked for and what came of it: `symbol`, `first`, `last`, `outcome`, `cause`, `bars`

        Raises
        ------
        DataError
            A symbol is stored from another source or on another price basis.
        WorkspaceError
            It cannot be written; readers see what they saw before.
        """
        published, new = self._journal.published(), {i.symbol: i for i in instruments}
        known: dict[str, Instrument] = dict(published.facts)
        for symbol in known.keys() & new.keys():
            require_same_kind(known[symbol], new[symbol])
        added, told, restatements = self._changes((bars, events, quarantined), whole)
        held = self._all("quarantine", list(new))
        # bars after their events, for those who read a table without looking at `known_until`
        batch = {
            "quarantine": fresh_rows(quarantined, held, [*BAR_KEY, "rule"]),
            "events": told,
            "bars_1d": added,
            "restatements": restatements,
            "fetches": pd.DataFrame(columns=FETCH_COLUMNS) if fetches is None else fetches,
        }
        batch = {name: rows for name, rows in batch.items() if len(rows)}
        if batch or known | new != known:
            facts = {symbol: instrument_facts(i) for symbol, i in sorted((known | new).items())}
            self._journal.publish(batch, facts, known_at)
        return Appended(len(added), len(batch.get("quarantine", ())), restatements)

    def _changes(
        self, frames: Sequence[pd.DataFrame], whole: Collection[str]
    ) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Return what of bars, events and quarantined bars is to be added, and the restatements it is.

        A symbol's whole history is compared with all that is stored of it, others from where they begin.
        """
        parts = []
        for is_whole in (True, False):
            bars, events, held = (frame[frame["symbol"].isin(list(whole)) == is_whole] for frame in frames)
            symbols = list({*bars["symbol"].unique(), *events["symbol"].unique()})
            if is_whole and not symbols:
                continue
            since = None if is_whole or not len(bars) else bars["session"].min()
            stored = self.read_overlap(symbols, since)
            parts.append(compare_history(bars, events, held, *stored, is_whole=is_whole))
        bars, events, restatements = (pd.concat(part, ignore_index=True) for part in zip(*parts, strict=True))
        return bars, events, restatements
