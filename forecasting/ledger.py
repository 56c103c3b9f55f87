"""The ledger: every forecast that was issued, appended once and never edited.

One row per (symbol, origin, horizon, model), in a hash chain (`forecasting.chain`). The head of the chain is also
kept in a file beside the table, so that records cut off the end show; it stands in every report, so that a
chain that was written anew shows to whoever has one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from forecasting.chain import NO_RECORDS, Break, Head, extend_chain, find_moved, follow_chain, name_record
from forecasting.errors import DataError
from forecasting.forecasts import Forecast
from forecasting.ledger_rows import LEDGER_KEY, LEDGER_SCHEMA, make_rows
from forecasting.tables import all_of, append_rows, one_of, read_table, to_frame
from forecasting.tidying import tidy
from forecasting.workspace import read_json, write_json

_HEAD = "_head.json"  # Delta leaves alone what begins with an underscore
_UNLINKED = pa.schema([field for field in LEDGER_SCHEMA if field.name not in {"sequence", "hash"}])

# one symbol's record then takes a tenth of a second to read, whatever the ledger's size
_GROUP_ROWS = 4096
_SETTLED = 128_000_000

_RANGED = ("sequence", "symbol", "origin", "target_session")
_WINDOW = 100_000  # records verified at a time, which take 100 MB
_RESTORE = "next: restore the folder ledger from a copy"


class Ledger:
    """Issued forecasts under a workspace's `ledger` folder. Who issues holds the workspace's lock.

    Parameters
    ----------
    root
        The folder; it is created by the first issue.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def issue(
        self,
        forecasts: Iterable[Forecast],
        model_id: str,
        now: pd.Timestamp,
        data_as_of: pd.Timestamp,
        random_walks: Mapping[str, Forecast] | None = None,
        flags: Mapping[str, Collection[str]] | None = None,
        *,
        as_replay: bool = False,
    ) -> int:
        """Append the forecasts that are not in the ledger yet, and return how many rows that was.

        Rows are `live` by the rule of `why_not_live`, else `replay`. A replay of an embedded source, or one asked
        for, is as of the origin's close.

        Parameters
        ----------
        now : UTC instant of the issue
        data_as_of : UTC instant at which the newest bar they rest on was known
        random_walks : by symbol, what doing nothing said from the same bars; kept and hashed with the forecast, so
            that the comparison cannot be improved afterwards
        flags : by symbol, what its forecast cannot know of itself; of `forecasts.FLAGS`
        as_replay : whether they are computed as of past sessions: then none is live

        Raises
        ------
        DataError
            A forecast is not finite, or the ledger has lost its last records.
        WorkspaceError
            It cannot be written; what was issued before stands.
        """
        head = self.head()
        walks, told = random_walks or {}, flags or {}
        made = [
            row
            for f in forecasts
            for row in make_rows(
                f, walks.get(f.symbol), model_id, now, data_as_of, told.get(f.symbol, ()), as_replay=as_replay
            )
        ]
        rows = {tuple(row[name] for name in LEDGER_KEY): row for row in made}
        for key in self._present(made):
            rows.pop(key, None)
        if rows:
            records, head = extend_chain(pa.Table.from_pylist(list(rows.values()), _UNLINKED), head)
            append_rows(self._root, records, LEDGER_SCHEMA, group_rows=_GROUP_ROWS)
        if head != self._written_head():  # also where a run was killed before it came so far
            write_json(self._root / _HEAD, head._asdict())
        if rows:
            with suppress(Exception):  # all is issued; the next issue tries again
                tidy(self._root, "symbol", "sequence", group_rows=_GROUP_ROWS, settled=_SETTLED)
        return len(rows)

    def read(
        self,
        symbols: Sequence[str] | None = None,
        model_id: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return issued rows in the order of their issue."""
        return self.select(_condition(symbols, model_id), columns)

    def select(self, condition: ds.Expression | None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows that meet an Arrow condition, in the order of their issue."""
        names = list(columns or LEDGER_SCHEMA.names)
        rows = to_frame(self._table(condition, list(dict.fromkeys([*names, "sequence"]))))
        return rows.sort_values("sequence", ignore_index=True)[names]

    def origins(self, model_id: str) -> pd.DatetimeIndex:
        """Return the sessions that a model has issued forecasts from, ascending."""
        rows = self._table(_condition(None, model_id), ["origin"])
        return pd.DatetimeIndex(to_frame(rows.group_by("origin").aggregate([]))["origin"].sort_values())

    def last_origins(
        self,
        symbols: Sequence[str] | None = None,
        model_id: str | Sequence[str] | None = None,
        until: pd.Timestamp | None = None,
    ) -> pd.Series:
        """Return, by symbol, the newest origin up to a session that a model, or any of several, has forecast from."""
        rows = self._table(_condition(symbols, model_id, until), ["symbol", "origin"])
        newest = to_frame(rows.group_by("symbol").aggregate([("origin", "max")]))
        return newest.set_index("symbol")["origin_max"].sort_index().rename("origin")

    def latest(
        self,
        symbols: Sequence[str] | None = None,
        model_id: str | Sequence[str] | None = None,
        until: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return, per symbol, the rows of its newest origin up to a session, of the model that issued these last.

        Parameters
        ----------
        columns : of `LEDGER_SCHEMA`, `symbol`, `origin` and `model_id` among them; by default all
        """
        newest = self.last_origins(symbols, model_id, until)
        of_these = ds.field("origin").isin(pa.array(newest.unique(), LEDGER_SCHEMA.field("origin").type))
        condition = _condition(symbols, model_id)
        rows = self.select(of_these if condition is None else condition & of_these, columns)
        rows = rows[rows["origin"].to_numpy() == newest.reindex(rows["symbol"]).to_numpy()]
        return rows[rows["model_id"] == rows.groupby("symbol")["model_id"].transform("last")]

    def head(self) -> Head:
        """Return how many records there are, and the hash of the last one; not all of the chain is read.

        Raises
        ------
        DataError
            The last record is not the one that the file beside the table names.
        """
        written = self._written_head()
        last = self._table(ds.field("sequence") >= max(written.rows, 1), ["sequence", "hash"]).sort_by("sequence")
        heads = [Head(*pair) for pair in zip(*last.to_pydict().values(), strict=True)]
        # later ones were issued by a run that was killed before it wrote the head
        if [head.rows for head in heads] != list(range(max(written.rows, 1), max(written.rows, 1) + len(heads))):
            raise DataError(f"ledger: its records from {written.rows} on are not in order; {_RESTORE}")
        if written.rows and heads[:1] != [written]:
            raise DataError(
                f"ledger: record {written.rows} should be its last one issued before, with the hash "
                f"{written.hash[:12]}…, and is {'another' if heads else 'missing'}; {_RESTORE}"
            )
        return heads[-1] if heads else NO_RECORDS

    def verify(self, known: Sequence[Head] = ()) -> int:
        """Check the whole chain and return the number of records.

        Parameters
        ----------
        known : heads that reports named, which the chain must have passed through

        Raises
        ------
        DataError
            Naming the first record that was edited, is missing, stands twice or was moved.
        """
        known = [*known, self._written_head()]
        last = pc.max(self._table(None, ["sequence"], ())["sequence"]).as_py() or 0  # others may be issued meanwhile
        head, keys = NO_RECORDS, []
        while len(records := self._window(head)):
            before = head.rows
            head, broken = follow_chain(records, head)
            if broken:
                raise DataError(f"ledger: {self._in_words(broken)}; {_RESTORE}")
            for one in known:
                if before < one.rows <= head.rows and records["hash"][one.rows - before - 1].as_py() != one.hash:
                    raise DataError(
                        f"ledger: record {one.rows} has another hash than when it was the last one: it or one before "
                        f"it was edited and the chain written anew; {_RESTORE}"
                    )
            keys.append(pd.util.hash_pandas_object(records.select(LEDGER_KEY).to_pandas(), index=False))
        self._require_no_other(head, last)
        if (longest := max(one.rows for one in known)) > head.rows:
            raise DataError(f"ledger: record {head.rows + 1} is missing, and all up to {longest}; {_RESTORE}")
        self._require_one_each(keys)
        return head.rows

    def _in_words(self, broken: Break) -> str:
        number = broken.head.rows + 1
        if broken.problem == "twice":
            return f"{broken.found} stands twice"
        if broken.problem == "missing":
            return f"record {number} is missing; after it comes {broken.found}"
        head = NO_RECORDS
        while len(records := self._window(head)):
            if place := find_moved(records, broken):
                return f"record {number} stands in the place of {place}: records were reordered"
            head = Head(head.rows + _WINDOW, "")
        return f"{broken.found} was edited after it was issued"

    def _require_no_other(self, head: Head, last: int) -> None:
        """Raise `DataError` unless all records up to the number `last` lie in the chain that ends in this head."""
        number = ds.field("sequence")
        is_other = number.is_null() | (number < 1) | ((number > head.rows) & (number <= last))
        others = self._table(is_other, [*LEDGER_KEY, "sequence"], ())
        for other in others.slice(0, 1).to_pylist():
            missing = f"record {head.rows + 1} is missing, and " if (other["sequence"] or 0) > head.rows else ""
            raise DataError(f"ledger: {missing}{name_record(other)} has no place in the chain; {_RESTORE}")

    def _require_one_each(self, keys: Sequence[pd.Series]) -> None:
        """Raise `DataError` where two records, of whose keys these are the hashes, are of the same forecast."""
        repeated = pd.concat([*keys, pd.Series(dtype="uint64")], ignore_index=True).duplicated(keep=False)
        numbers = pa.array(repeated.index[repeated] + 1, pa.int64())
        rows = self.select(ds.field("sequence").isin(numbers), [*LEDGER_KEY, "sequence"])
        for row in rows[rows.duplicated(LEDGER_KEY)].head(1).to_dict("records"):
            raise DataError(
                f"ledger: {name_record(row)} stands twice: an earlier one is of the same forecast; {_RESTORE}"
            )

    def _window(self, head: Head) -> pa.Table:
        """Return some of the records after a head, ordered by number."""
        number = ds.field("sequence")
        return self._table((number > head.rows) & (number <= head.rows + _WINDOW)).sort_by("sequence")

    def _present(self, rows: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
        """Return the keys of the issued rows that are of the same symbols and origins as these."""
        symbols, origins = ({row[name] for row in rows} for name in ("symbol", "origin"))
        of_these = ds.field("origin").isin(pa.array(list(origins), LEDGER_SCHEMA.field("origin").type))
        condition = one_of("symbol", list(symbols), LEDGER_SCHEMA) & of_these
        return set(self.select(condition, LEDGER_KEY).itertuples(index=False, name=None))

    def _table(
        self, condition: ds.Expression | None, columns: Sequence[str] | None = None, ranged: Sequence[str] = _RANGED
    ) -> pa.Table:
        return read_table(self._root, LEDGER_SCHEMA, condition, columns, ranged=ranged)

    def _written_head(self) -> Head:
        try:
            return read_json(self._root / _HEAD, lambda stored: Head(int(stored["rows"]), str(stored["hash"])))
        except FileNotFoundError:
            return NO_RECORDS


def _condition(
    symbols: Sequence[str] | None, model_id: str | Sequence[str] | None, until: pd.Timestamp | None = None
) -> ds.Expression | None:
    wanted = {"symbol": symbols, "model_id": [model_id] if isinstance(model_id, str) else model_id}
    found = all_of(wanted, LEDGER_SCHEMA)
    if until is None:
        return found
    early = ds.field("origin") <= pa.scalar(until.date(), LEDGER_SCHEMA.field("origin").type)
    return early if found is None else found & early
