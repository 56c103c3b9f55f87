"""The evening job: fetch, validate, train when due, compare, forecast, score, export, report.

Each step leaves the workspace whole and does nothing that is done already: a run that was killed is completed by the
next one, and a second run of an evening does nothing. Evenings that were missed are caught up: the forecasts from
their sessions are issued, and those whose target session has opened meanwhile are replay.
"""

import traceback
from collections.abc import Callable

from forecasting.config import Progress, Recipe, no_progress
from forecasting.due import TRAIN_EVERY
from forecasting.errors import TickercastError, in_one_line
from forecasting.evening import Evening, Stopped
from forecasting.evening_report import EveningReport, save_report
from forecasting.ingestion.collector import make_provider
from forecasting.ingestion.provider import Provider
from forecasting.jobs import utc_now
from forecasting.records import JobRecord
from forecasting.steps import Clock
from forecasting.universe import Universe
from forecasting.workspace import Workspace


def retrain(
    workspace: Workspace,
    universe: Universe,
    source: str | Provider,
    recipe: Recipe | None = None,
    *,
    train_every: int = TRAIN_EVERY,
    progress: Progress = no_progress,
    clock: Clock = utc_now,
    should_stop: Callable[[], bool] = lambda: False,
) -> EveningReport:
    """Run the evening job for a universe, and save its report.

    A symbol that fails is named and the others go on. A training that fails leaves the champion, whose forecasts
    are flagged. Where nothing can be fetched, what is stored is gone on with.

    Parameters
    ----------
    source : name of a source, or a provider
    recipe : by default the champion's; another one has to win its place
    train_every : sessions after which a model is trained anew
    should_stop : asked before each step and while a model is trained; the run then ends, and the next one goes on

    Raises
    ------
    WorkspaceBusy
        Another job holds the workspace; there is no report.
    WorkspaceError
        The report cannot be written.
    """
    started = clock()
    provider = make_provider(source) if isinstance(source, str) else source
    with workspace.lock():
        error, trace, evening = None, "", Evening(workspace, universe, progress, clock, should_stop)
        try:
            with JobRecord(workspace, "retrain", started) as record:
                evening.run(record, provider, recipe, train_every)
        except Stopped:
            evening.stopped = True
        except Exception as problem:  # of whatever kind: who is not there to see it reads the report
            error = in_one_line(problem)
            if not isinstance(problem, TickercastError):
                trace = "".join(traceback.format_exception(problem))
        report = evening.report(started, error)
        if trace:
            evening.log.note("traceback", trace)  # of no use to who reads the report
        save_report(workspace, report)
        workspace.publish()
    return report
