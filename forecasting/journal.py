"""A set of append-only tables whose rows carry `known_at`, published together.

All rows of one batch have the same `known_at`. The last thing a batch writes is the instant up to which
the tables hold; readers leave out what lies beyond, so that they see all of a batch or nothing of it. What
a killed writer left there is dropped by the next one.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from forecasting.tables import append_rows, drop_later_rows, read_table, to_frame
from forecasting.tidying import tidy
from forecasting.workspace import read_json, write_atomic

KNOWN_AT = pa.field("known_at", pa.timestamp("us", tz="UTC"))
_NEVER = pd.Timestamp(0, tz="UTC")
_TICK = pd.Timedelta(milliseconds=1)  # of Delta's statistics


@dataclass(frozen=True)
class Published:
    """What readers see: the facts that stand beside the tables, and the instant up to which the tables hold."""

    facts: Mapping[str, Any]
    known_until: pd.Timestamp


class Journal:
    """Tables in a folder, one subfolder each.

    Parameters
    ----------
    root
        The folder; it is created by the first batch.
    schemas : by table, each with a field `symbol` and `KNOWN_AT`
    facts : name of the JSON file that holds the facts and the instant of the last batch
    build : makes facts of JSON values
    """

    def __init__(
        self,
        root: Path,
        schemas: Mapping[str, pa.Schema],
        facts: str,
        build: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self._root, self._schemas, self._name, self._build = root, schemas, facts, build
        self._unpublished = root / "unpublished"  # is there while a writer writes, and after it was killed

    def published(self) -> Published:
        """Return what readers see now; hold on to it to see the same in several tables."""
        try:
            return read_json(
                self._root / f"{self._name}.json",
                lambda stored: Published(self._build(stored[self._name]), parse_instant(stored["known_until"])),
            )
        except FileNotFoundError:
            return Published({}, _NEVER)

    def rows(
        self,
        name: str,
        until: pd.Timestamp,
        condition: ds.Expression | None = None,
        columns: Sequence[str] | None = None,
        encoded: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Return a table's rows known at a UTC instant, which is that of a `Published` or before it.

        Text columns named in `encoded` come as categories, faster.
        """
        known = ds.field("known_at") <= pa.scalar(until, KNOWN_AT.type)
        condition = known if condition is None else known & condition
        return to_frame(read_table(self._root / name, self._schemas[name], condition, columns, encoded))

    def publish(
        self, batch: Mapping[str, pd.DataFrame], facts: Mapping[str, Any], known_at: pd.Timestamp
    ) -> pd.Timestamp:
        """Append rows to tables, replace the facts, and show readers both at once.

        Parameters
        ----------
        batch : frames by table, in the order they are written
        facts : JSON values
        known_at : UTC instant, rounded up to milliseconds; where the clock stood still or went back, the next
            after the last batch counts

        Returns
        -------
        UTC instant that the rows carry

        Raises
        ------
        WorkspaceError
            It cannot be written; readers see what they saw before.
        """
        last = self.published().known_until
        if self._unpublished.exists():
            for name in self._schemas:
                drop_later_rows(self._root / name, KNOWN_AT.name, last)
        known_at = max(known_at, last + _TICK).ceil(_TICK)
        write_atomic(self._unpublished, "")
        for name, rows in batch.items():
            append_rows(self._root / name, rows.assign(known_at=known_at), self._schemas[name])
        state = {"known_until": known_at.isoformat(), self._name: facts}
        write_atomic(self._root / f"{self._name}.json", json.dumps(state))
        with suppress(Exception):  # all is published; the next batch tries again
            self._unpublished.unlink()
            for name in batch:
                tidy(self._root / name, "symbol", KNOWN_AT.name)
        return known_at


def parse_instant(text: str) -> pd.Timestamp:
    """Return the UTC instant that a text tells, as ISO 8601; one without a time zone is a `ValueError`."""
    instant = pd.Timestamp(text)
    if pd.isna(instant) or instant.tz is None:
        raise ValueError(f"{text!r} is no instant")
    return instant.tz_convert("UTC").as_unit("us")


def newest(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return, per key, the row with the latest `known_at`, ordered by key."""
    codes = [_codes(rows[key]) for key in keys]
    order = np.lexsort([_codes(rows["known_at"]), *reversed(codes)])
    last = np.ones(len(rows), dtype=bool)
    last[:-1] = False
    for code in codes:
        ordered = code[order]
        last[:-1] |= ordered[1:] != ordered[:-1]
    kept = order[last]
    if len(kept) == len(rows) and (np.diff(kept) > 0).all():
        return rows
    return rows.take(kept).reset_index(drop=True)


def _codes(column: pd.Series) -> np.ndarray:
    """Return integers in the order of a column's values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        names = column.cat.categories
        ranks = np.empty(len(names), dtype="int32")
        ranks[names.argsort()] = np.arange(len(names))
        return ranks[column.cat.codes]
    if column.dtype.kind == "M":
        return column.array.asi8
    return pd.factorize(column, sort=True)[0]
