"""One run of the evening job: its steps in order, and what will be told of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pandas as pd

from forecasting.bars import PriceSeries, all_dates
from forecasting.candidates import fit_candidate, settle_candidate
from forecasting.config import Progress, Recipe
from forecasting.due import champion_recipe, find_due
from forecasting.errors import DataError, FetchError, ModelError, TickercastError, in_one_line
from forecasting.evening_report import EveningReport
from forecasting.exports.files import export_latest
from forecasting.exports.publishing import export_new_issues
from forecasting.forecasts import OLD_MODEL, STALE
from forecasting.ingestion.provider import Provider
from forecasting.ingestion.quality import find_doubts
from forecasting.issuing import find_stale, issue_origins, open_sessions, split_forecastable
from forecasting.ledger import Ledger
from forecasting.logs import JobLog, Step
from forecasting.model.bundle import load_model
from forecasting.model.forecaster import RNNForecaster
from forecasting.records import JobRecord
from forecasting.registry import Registry
from forecasting.steps import Clock, collect, score, store_prices
from forecasting.store import PriceStore
from forecasting.universe import Universe
from forecasting.workspace import Workspace

MOST_CAUGHT_UP = 60
"""Sessions of a symbol that are caught up; of a longer absence the last ones."""

_MOST_TOLD = 20  # doubts about prices
_STOPPED = "stopped as asked, before the end; the next run goes on from here"


class Stopped(Exception):
    """The run was asked to end, and has come to a safe point."""


class Evening:
    """One run: its steps in order, and what will be told of them."""

    def __init__(
        self,
        workspace: Workspace,
        universe: Universe,
        progress: Progress,
        clock: Clock,
        should_stop: Callable[[], bool],
    ) -> None:
        self.workspace, self.universe, self.clock = workspace, universe, clock
        self.progress, self.should_stop = progress, should_stop
        self.log = JobLog(workspace.logs, "retrain", clock)
        self.store, self.ledger = PriceStore(workspace.prices), Ledger(workspace.ledger)
        self.registry = Registry(workspace.models)
        self.stopped = self.model_is_old = self.trained = False
        self.model_id: str | None = None
        self.decision = ""
        self.added = self.scored = self.exported = 0
        self.issued: dict[pd.Timestamp, int] = {}
        self.failures: dict[str, str] = {}
        self.stale: dict[str, str] = {}
        self.warnings: list[str] = []
        self.files: list[str] = []

    def run(self, record: JobRecord, provider: Provider, recipe: Recipe | None, train_every: int) -> None:
        """Go through the steps; raises what ends the run before its end."""
        self.record, self.watched = record, record.watch(self._watch)
        self.fetch(provider)
        series = self.validate()
        recipe = recipe or champion_recipe(self.workspace, self.registry, self.universe)
        forecaster = self.train(series, recipe, train_every)
        self.forecast(forecaster, series)
        self.score()
        self.export()

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run a step: logged, recorded, and published when it has ended well. Asked to stop, none begins."""
        self._stop_if_asked()
        with self.log.step(name) as step, self.record.step(name):
            yield step

    def _watch(self, what: str, done: int, total: int) -> None:
        self.progress(what, done, total)
        self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self.should_stop():
            raise Stopped(_STOPPED)

    def fetch(self, provider: Provider) -> None:
        """Store what is missing; where nothing comes, what is stored is gone on with."""
        symbols = self.universe.symbols
        with self.step("fetch") as step:
            try:
                collection = collect(self.workspace, self.store, provider, symbols, self.watched, self.clock)
            except FetchError as error:
                self.failures |= error.causes
                if not self.store.instruments().keys() & set(symbols):
                    raise
                step.counts["failed"], step.detail, step.failed = len(error.causes), in_one_line(error), True
                return
            fetched = store_prices(self.store, collection, self.clock())
            self.added = fetched.added
            self.failures |= {symbol: failed.cause for symbol, failed in fetched.failures.items()}
            self.warnings += [f"{symbol} was restated: {cause}" for symbol, cause in fetched.restated.items()]
            step.counts |= {
                "symbols": len(fetched.symbols),
                "current": len(fetched.current),
                "failed": len(fetched.failures),
                "bars": fetched.added,
                "quarantined": fetched.quarantined,
            }

    def validate(self) -> dict[str, PriceSeries]:
        """Return the universe's stored prices; note which are old, and what of the last days gives reason to doubt."""
        with self.step("validate") as step:
            present = self.store.instruments()
            series = self.store.read([s for s in self.universe.symbols if s in present])
            self.stale = find_stale(series, self.clock())
            doubts = [doubt for s in series.values() for doubt in find_doubts(s)]
            self.warnings += doubts[:_MOST_TOLD]
            if len(doubts) > _MOST_TOLD:
                self.warnings.append(f"{len(doubts) - _MOST_TOLD} more; next: tickercast quality")
            step.counts |= {"symbols": len(series), "stale": len(self.stale), "doubts": len(doubts)}
        return series

    def train(self, series: Mapping[str, PriceSeries], recipe: Recipe, train_every: int) -> RNNForecaster:
        """Return the champion, after a candidate was trained and met it where one is due."""
        before = self.registry.champion_of(self.universe.name)
        due = find_due(self.workspace, self.registry, self.universe, recipe, all_dates(series), train_every)
        self.decision = due.reason
        if due.train:
            try:
                self.decision = f"{due.reason}: {self._challenge(series, recipe, due.reason)}"
            except Stopped:
                raise
            except Exception as error:  # of whatever kind: the champion serves on
                self.decision = f"{due.reason}, and training failed: {in_one_line(error)}"
                if before is None:
                    raise ModelError(self.decision) from error
                self.model_is_old = True
                self.warnings.append(f"{self.decision}; {before.model_id} serves on, its forecasts are flagged")
        champion = self.registry.champion_of(self.universe.name)
        if champion is None:
            raise ModelError(f"no model serves {self.universe.name}; next: tickercast models list")
        self.model_id = champion.model_id
        return load_model(self.workspace.models, champion.model_id)

    def _challenge(self, series: Mapping[str, PriceSeries], recipe: Recipe, reason: str) -> str:
        """Train a candidate, let it meet the champion, and return in words what was decided."""
        with self.step("train") as step:
            candidate = fit_candidate(self.workspace, self.universe, series, recipe, self.watched, self.clock)
            self.trained = candidate.trained
            step.counts["trained"], step.detail = int(candidate.trained), reason
        with self.step("compare") as step:
            settled = settle_candidate(self.workspace, self.universe, candidate, series, self.watched, self.clock)
            step.counts["promoted"], step.detail = int(settled.promoted), settled.reason
        serves = "serves" if settled.promoted else f"is not promoted, {settled.champion} serves on"
        return f"{settled.model_id} {serves}: {settled.reason}"

    def forecast(self, forecaster: RNNForecaster, series: Mapping[str, PriceSeries]) -> None:
        """Issue the forecasts from every session that has none yet."""
        with self.step("forecast") as step:
            # the model's whole universe informs each forecast, whatever is asked for
            present = self.store.instruments()
            others = self.store.read([s for s in forecaster.model.universe if s in present and s not in series])
            able, failures = split_forecastable({**series, **others}, forecaster)
            self.failures |= {s: cause for s, cause in failures.items() if s in series and s not in self.failures}
            if not able.keys() & series.keys():
                raise DataError(f"no symbol of {self.universe.name} can be forecast: {'; '.join(failures.values())}")
            origins = self._open_origins({s: able[s] for s in series if s in able}, forecaster)
            flags = {(s, day): self._flags_of(able[s], day) for s, days in origins.items() for day in days}
            self.issued = issue_origins(
                self.ledger,
                forecaster,
                str(self.model_id),
                able,
                origins,
                self.clock(),  # of the issue: what opened while the job ran is not forecast live
                self.store.known_until,
                flags,
            )
            rows = sum(self.issued.values())
            step.counts |= {"symbols": len(origins), "sessions": len(self.issued), "rows": rows}

    def _open_origins(
        self, series: Mapping[str, PriceSeries], forecaster: RNNForecaster
    ) -> dict[str, pd.DatetimeIndex]:
        """Return, by symbol, the sessions after the last one that a model of the universe has forecast from.

        Of a symbol that none has, the last session.
        """
        last = self.ledger.last_origins(list(series), self.registry.models_of(self.universe.name))
        origins = {}
        for symbol, s in series.items():
            sessions = open_sessions(s, forecaster)
            missed = sessions[sessions > last[symbol]] if symbol in last else sessions[-1:]
            if len(missed):
                origins[symbol] = missed[-MOST_CAUGHT_UP:]
        return origins

    def _flags_of(self, series: PriceSeries, origin: pd.Timestamp) -> set[str]:
        is_stale = series.symbol in self.stale and origin == series.sessions[-1]
        return ({STALE} if is_stale else set()) | ({OLD_MODEL} if self.model_is_old else set())

    def score(self) -> None:
        """Score the forecasts that have matured."""
        with self.step("score") as step:
            scored = score(self.workspace)
            self.scored = scored.matured
            step.counts |= {"matured": scored.matured, "restated": scored.restated}

    def export(self) -> None:
        """Write the CSVs of each new issue, and the latest; old prices are flagged in it, whenever issued."""
        with self.step("export") as step:
            self.files += map(str, export_new_issues(self.workspace, MOST_CAUGHT_UP))
            self.exported = len(self.files)
            models = self.registry.models_of(self.universe.name)
            latest = self.ledger.latest(self.universe.symbols, models)
            told = zip(latest["symbol"], latest["flags"], strict=True)
            flags = [sorted({*(own if own is not None else ()), *[STALE] * (s in self.stale)}) for s, own in told]
            self.files += map(str, export_latest(latest.assign(flags=flags), self.workspace.exports))
            step.counts["files"] = len(self.files)

    def report(self, started: pd.Timestamp, error: str | None) -> EveningReport:
        """Return what became of the run."""
        rows, head = self._ledger_head()
        if self.log.problem:
            self.warnings.append(self.log.problem)
        if self.stopped:
            self.warnings.append(_STOPPED)
        news = self.added or sum(self.issued.values()) or self.scored or self.trained or self.exported
        is_partly = self.stopped or self.model_is_old or self.failures or self.stale
        outcome = "failed" if error else "partly" if is_partly else "done" if news else "nothing_new"
        return EveningReport(
            self.universe.name,
            started,
            self.clock(),
            outcome,
            sessions=tuple(sorted(self.issued)),
            steps=self.log.records,
            model_id=self.model_id,
            decision=self.decision,
            issued=sum(self.issued.values()),
            scored=self.scored,
            failures=self.failures,
            stale=self.stale,
            warnings=tuple(self.warnings),
            files=tuple(self.files),
            ledger_rows=rows,
            ledger_head=head,
            error=error,
        )

    def _ledger_head(self) -> tuple[int, str]:
        """Return the ledger's length and last hash; where it is damaged, a warning says so."""
        try:
            return self.ledger.head()
        except TickercastError as error:
            self.warnings.append(in_one_line(error))
            return 0, ""
