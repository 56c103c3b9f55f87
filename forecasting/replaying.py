"""The evening job as of past sessions, so that a new user sees a year's track record at once.

Each session is forecast by the model that would have served on it: trained on bars up to then, on the evenings on
which one would have been due, and kept or replaced by the rule of a refresh. Histories that were fetched later are cut
at the session; what was revised in them since cannot be told, which the report says. All forecasts are replay, as of
their origin's close. Models are found again by what they were trained on, so a replay that was killed goes on where it
was, and one that is repeated issues nothing twice. None of these models is a candidate for serving.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from forecasting.bars import PriceSeries, all_dates
from forecasting.candidates import Candidate, find_or_fit
from forecasting.cards import write_cards
from forecasting.chain import Head
from forecasting.config import Progress, Recipe, no_progress
from forecasting.due import TRAIN_EVERY, champion_recipe
from forecasting.errors import DataError, UsageError
from forecasting.evaluation.contest import contest_refresh
from forecasting.issuing import issue_origins, open_sessions, split_forecastable
from forecasting.jobs import utc_now
from forecasting.ledger import Ledger
from forecasting.records import JobRecord
from forecasting.registry import Registry
from forecasting.scoring import ScoreReport
from forecasting.steps import Clock, score
from forecasting.store import PriceStore
from forecasting.universe import Universe
from forecasting.workspace import Workspace

SESSIONS = 250
"""Sessions that are replayed where no first one is given: a year."""


@dataclass(frozen=True)
class Training:
    """A training within a replay: on which session, what was decided and which model served from then on."""

    session: pd.Timestamp
    model_id: str
    reason: str


@dataclass(frozen=True)
class ReplayReport:
    """What was replayed.

    Parameters
    ----------
    universe : name
    sessions : every date that was an evening, ascending
    trainings : in order
    rows : new ones in the ledger
    scored
    known_at : UTC instant as of which the prices were known, before they were cut at each session
    head : of the ledger
    """

    universe: str
    sessions: pd.DatetimeIndex
    trainings: tuple[Training, ...]
    rows: int
    scored: ScoreReport
    known_at: pd.Timestamp
    head: Head


def replay(
    workspace: Workspace,
    universe: Universe,
    first: pd.Timestamp | None = None,
    last: pd.Timestamp | None = None,
    recipe: Recipe | None = None,
    *,
    train_every: int = TRAIN_EVERY,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
) -> ReplayReport:
    """Run the evening job as of every past session between two, and score what has matured.

    Parameters
    ----------
    first, last : sessions, inclusive; by default the last `SESSIONS` that are stored
    recipe : by default that of the universe's champion
    train_every : sessions after which a model is trained anew

    Raises
    ------
    DataError
        A symbol is not stored.
    TooFewBars
        The histories up to the first session are too short to train on.
    UsageError
        There is no session between the two.
    """
    store, ledger = PriceStore(workspace.prices), Ledger(workspace.ledger)
    with workspace.lock(), JobRecord(workspace, "replay", clock()) as record:
        known_at = store.known_until
        series = store.read(universe.symbols, as_of=known_at)
        days = _evenings(series, first, last)
        recipe = recipe or champion_recipe(workspace, Registry(workspace.models), universe)
        watched, serving, rows = record.watch(progress), None, 0
        trainings: list[Training] = []
        with record.step("replay"):
            for begin in range(0, len(days), train_every):
                watched("replay", begin, len(days))
                evenings = days[begin : begin + train_every]
                past = _until(series, evenings[0])
                serving, reason = _serve(workspace, universe, past, recipe, serving, watched)
                trainings.append(Training(evenings[0], serving.model_id, reason))
                rows += _issue(ledger, serving, series, evenings, clock(), known_at)
            watched("replay", len(days), len(days))
            write_cards(workspace, {training.model_id: None for training in trainings})
        with record.step("score"):
            scored = score(workspace)
    return ReplayReport(universe.name, days, tuple(trainings), rows, scored, known_at, ledger.head())


def _evenings(
    series: Mapping[str, PriceSeries], first: pd.Timestamp | None, last: pd.Timestamp | None
) -> pd.DatetimeIndex:
    days = all_dates(series)
    if not len(days):
        raise DataError(f"no bar of {', '.join(series)} is stored; next: tickercast fetch")
    until = days[days <= last] if last is not None else days
    chosen = until[until >= first] if first is not None else until[-SESSIONS:]
    if not len(chosen):
        raise UsageError(
            f"no session from {first.date() if first is not None else 'the first'} to "
            f"{last.date() if last is not None else 'the last'}: stored are {days[0].date()} to {days[-1].date()}; "
            "next: other --from and --to"
        )
    return chosen


def _until(series: Mapping[str, PriceSeries], session: pd.Timestamp) -> dict[str, PriceSeries]:
    """Return the histories up to a session, of the symbols that had one then."""
    past = {symbol: s.until(session) for symbol, s in series.items()}
    return {symbol: s for symbol, s in past.items() if len(s)}


def _serve(
    workspace: Workspace,
    universe: Universe,
    past: Mapping[str, PriceSeries],
    recipe: Recipe,
    before: Candidate | None,
    progress: Progress,
) -> tuple[Candidate, str]:
    """Train on bars up to a session, and return the model that serves from it on, and why it does."""
    candidate = find_or_fit(workspace, universe, past, recipe, progress)
    if before is None:
        return candidate, "first model"
    decision = contest_refresh(before.forecaster, candidate.forecaster, past)
    return (candidate if decision.promote else before), decision.reason


def _issue(
    ledger: Ledger,
    serving: Candidate,
    series: Mapping[str, PriceSeries],
    evenings: pd.DatetimeIndex,
    now: pd.Timestamp,
    known_at: pd.Timestamp,
) -> int:
    """Issue the forecasts from some evenings, from bars up to the last of them; each sees those up to its own."""
    able, _ = split_forecastable(_until(series, evenings[-1]), serving.forecaster)
    origins = {symbol: open_sessions(s, serving.forecaster) for symbol, s in able.items()}
    origins = {symbol: days[days.isin(evenings)] for symbol, days in origins.items()}
    origins = {symbol: days for symbol, days in origins.items() if len(days)}
    rows = issue_origins(ledger, serving.forecaster, serving.model_id, able, origins, now, known_at, {}, as_replay=True)
    return sum(rows.values())
