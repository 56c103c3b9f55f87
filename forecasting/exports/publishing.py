"""What a workspace holds, written as files: into its exports, or into a folder of choice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds

from forecasting.chain import NO_RECORDS, Head
from forecasting.errors import DataError
from forecasting.evaluation.finished import find_backtest
from forecasting.exports.files import export_forecasts, write_tables
from forecasting.exports.histories import backtest_table, price_table
from forecasting.ledger import Ledger
from forecasting.registry import Registry
from forecasting.scoring import Scores
from forecasting.store import PriceStore
from forecasting.track_record import make_track_record
from forecasting.workspace import Workspace, read_json, write_json

_EXPORTED = ".exported.json"  # the ledger's head when issues were exported last


def export_issued(
    workspace: Workspace,
    model_id: str | None = None,
    folder: Path | None = None,
    origin: pd.Timestamp | None = None,
) -> list[Path]:
    """Write the newest forecasts that a model has issued, long and wide, as `export_forecasts` does.

    Parameters
    ----------
    model_id : by default the newest champion
    folder : the workspace's exports for None; files of old issues are dropped there alone
    origin : write them as they were after the issue from this session, and leave `latest` alone

    Raises
    ------
    DataError
        The model has issued none, or none from this session.
    """
    model_id = model_id or Registry(workspace.models).champion().model_id
    ledger = Ledger(workspace.ledger)
    rows = ledger.latest(model_id=model_id) if origin is None else _issued_until(ledger, model_id, origin)
    if not len(rows):
        raise DataError(f"model {model_id} has issued no forecast; next: tickercast forecast")
    with _place(workspace, folder) as place:
        return export_forecasts(rows, place, latest=origin is None, prune=folder is None)


def export_new_issues(workspace: Workspace, most: int) -> list[Path]:
    """Write the files of each issue that has new rows in the ledger since the last time, the oldest first.

    Of the models in the registry: those of a replay are in none, and what they issued is no news. What was issued by a
    run that was killed before it exported is exported by the next one, whichever model serves by then. `latest` is left
    alone. Who calls it holds the workspace's lock.

    Parameters
    ----------
    most : issues; of more, the newest
    """
    ledger, place = Ledger(workspace.ledger), workspace.exports / _EXPORTED
    written: list[Path] = []
    issues = _new_issues(ledger, place)
    registered = {entry.model_id for entry in Registry(workspace.models).entries()}
    for origin, model_id in issues[issues["model_id"].isin(registered)].tail(most).itertuples(index=False):
        rows = ledger.latest(model_id=model_id, until=origin)
        written += export_forecasts(rows, workspace.exports, latest=False)
    if len(issues):
        write_json(place, ledger.head()._asdict())
    return written


def export_backtest(workspace: Workspace, backtest_id: str | None = None, folder: Path | None = None) -> list[Path]:
    """Write the scores of a backtest, by default of the newest, as `ID.csv`.

    Raises
    ------
    DataError
        There is none, or it is damaged.
    """
    report = find_backtest(workspace.backtests, backtest_id)
    with _place(workspace, folder) as place:
        return write_tables((backtest_table(report), [place / f"{report.backtest_id}.csv"]))


def export_scores(workspace: Workspace, model_id: str | None = None, folder: Path | None = None) -> list[Path]:
    """Write the scores of issued forecasts, and the track record they make.

    Parameters
    ----------
    model_id : of this model alone

    Raises
    ------
    DataError
        None has been scored.
    """
    scores = Scores(workspace.scores).read(model_id=model_id)
    if not len(scores):
        of_model = f" of model {model_id}" if model_id else ""
        raise DataError(f"no forecast{of_model} has been scored; next: tickercast score")
    with _place(workspace, folder) as place:
        return write_tables((scores, [place / "scores.csv"]), (make_track_record(scores), [place / "track-record.csv"]))


def export_prices(
    workspace: Workspace, symbols: Sequence[str] | None = None, basis: str = "split", folder: Path | None = None
) -> list[Path]:
    """Write stored prices, of all symbols for None, as `prices-BASIS.csv`; raises as `price_table` does."""
    table = price_table(PriceStore(workspace.prices), symbols, basis)
    with _place(workspace, folder) as place:
        return write_tables((table, [place / f"prices-{basis}.csv"]))


def _issued_until(ledger: Ledger, model_id: str, origin: pd.Timestamp) -> pd.DataFrame:
    """Return, per symbol, the rows of its newest origin up to one from which there are some."""
    rows = ledger.latest(model_id=model_id, until=origin)
    if not (rows["origin"] == origin).any():
        origins = ledger.origins(model_id)
        if len(origins):
            raise DataError(
                f"model {model_id} has issued no forecast from {origin.date()}: the {len(origins)} origins it has run "
                f"from {origins[0].date()} to {origins[-1].date()}; next: another --origin, or --model"
            )
    return rows


def _new_issues(ledger: Ledger, place: Path) -> pd.DataFrame:
    """Return the origins and models of the rows after the head that a file names; of all where it has none."""
    try:
        exported = read_json(place, lambda stored: Head(int(stored["rows"]), str(stored["hash"])))
    except FileNotFoundError:
        exported = NO_RECORDS
    rows = ledger.select(ds.field("sequence") >= exported.rows, ["origin", "model_id", "hash"])
    if exported != NO_RECORDS:
        same = rows["hash"].head(1).tolist() == [exported.hash]
        rows = rows.iloc[1:] if same else ledger.read(columns=["origin", "model_id"])
    return rows[["origin", "model_id"]].drop_duplicates().sort_values(["origin", "model_id"])


@contextmanager
def _place(workspace: Workspace, folder: Path | None) -> Iterator[Path]:
    """Give the folder to write to; the workspace's own is locked meanwhile."""
    if folder is not None:
        yield folder
    else:
        with workspace.lock():
            yield workspace.exports
