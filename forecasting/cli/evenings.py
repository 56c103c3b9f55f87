"""The verbs that run the evening job: once, after each close, as of past sessions."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from forecasting.cli.console import reported_errors, say, show_json, shown_progress
from forecasting.cli.inputs import choose_universe, evening_universe, open_workspace, read_day, stored_universe
from forecasting.cli.options import (
    From,
    JsonOption,
    OnFailure,
    Source,
    To,
    TrainEvery,
    UniverseOption,
    Verbose,
    WorkspaceOption,
)

if TYPE_CHECKING:
    from forecasting.evening_report import EveningReport
    from forecasting.universe import Universe
    from forecasting.workspace import Workspace


def retrain(
    universe: UniverseOption = None,
    source: Source = "yahoo",
    train_every: TrainEvery = 20,
    on_failure: OnFailure = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Run the evening job once: fetch, train when due, forecast, score, export.

    For a universe, by default all stored symbols, else the source's own. A second run of an evening does nothing,
    missed evenings are caught up, and a run that was killed is completed by the next one.
    """
    with reported_errors(as_json, verbose, workspace):
        from forecasting.cli.stopping import stopping
        from forecasting.evening_report import last_report_path
        from forecasting.failure_command import parse_command
        from forecasting.retraining import retrain as run_evening

        command = parse_command(on_failure) if on_failure is not None else ()
        place = open_workspace(workspace)
        chosen = evening_universe(place, universe, source)
        with stopping() as wish, shown_progress(as_json) as progress:
            report = run_evening(
                place, chosen, source, train_every=train_every, progress=progress, should_stop=wish.asked
            )
        (_show_line if as_json else _show)(report)
        if report.exit_code:
            _tell(command, place, report, last_report_path(place))
            raise typer.Exit(report.exit_code)


def replay(
    first: From = None,
    last: To = None,
    universe: UniverseOption = None,
    train_every: TrainEvery = 20,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Run the evening job as of past sessions: a track record at once.

    On stored prices, cut at each session: for a universe, by default all stored symbols. The forecasts enter the ledger
    as replay, never as live.
    """
    with reported_errors(as_json, verbose, workspace):
        begin, end = read_day("--from", first), read_day("--to", last)
        place = open_workspace(workspace)
        chosen = choose_universe(None, universe) or stored_universe(place)
        from forecasting.replaying import replay as run_evenings
        from forecasting.scoring import Scores
        from forecasting.track_record import read_track_record

        with shown_progress(as_json) as progress:
            report = run_evenings(place, chosen, begin, end, train_every=train_every, progress=progress)
        record = read_track_record(Scores(place.scores), "first")
        record = record[record["mode"] == "replay"]
        from forecasting.cli import render_record, values

        if as_json:
            show_json(values.replay_values(report, record))
        else:
            render_record.show_replay(report, record)


def schedule(
    universe: UniverseOption = None,
    source: Source = "yahoo",
    on_failure: OnFailure = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
    verbose: Verbose = False,
) -> None:
    """Stay up and run the evening job after each close.

    An hour after the universe's exchanges have closed, by default those of all stored symbols; a close that was
    missed is caught up at once. SIGTERM and Ctrl-C end it after the step that runs. With --json each run's report is
    a line.
    """
    # before Arrow is loaded: its own allocator keeps about a megabyte more after each evening, the system's levels off
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with reported_errors(as_json, verbose, workspace):
        from forecasting.failure_command import parse_command

        command = parse_command(on_failure) if on_failure is not None else ()
        place = open_workspace(workspace)

        def read() -> "Universe":
            return evening_universe(place, universe, source)

        name = read().name
        from forecasting.cli.stopping import stopping
        from forecasting.jobs import utc_now
        from forecasting.scheduler import Schedule, read_calendars, run_schedule

        with stopping() as wish:
            run_schedule(
                Schedule(
                    workspace=place,
                    universe=name,
                    job=lambda: _retrain(place, read(), source, wish.asked),
                    calendars=lambda: read_calendars(place, read().symbols),
                    clock=utc_now,
                    sleep=wish.sleep,
                    stop=wish.asked,
                    show=_show_line if as_json else _show,
                    on_failure=lambda report, path: _tell(command, place, report, path),
                    say=say,
                )
            )
            say("tickercast: stopped, as asked")


def _retrain(place: "Workspace", universe: "Universe", source: str, should_stop: Callable[[], bool]) -> "EveningReport":
    """Run the evening job: the one place where the schedule meets it."""
    from forecasting.retraining import retrain as run_evening

    return run_evening(place, universe, source, should_stop=should_stop)


def _tell(command: tuple[str, ...], place: "Workspace", report: "EveningReport", path: Path | None) -> None:
    """Run the user's command on failure, if there is one."""
    from forecasting.failure_command import run_on_failure
    from forecasting.jobs import utc_now
    from forecasting.logs import JobLog

    if command and (problem := run_on_failure(command, report, path, JobLog(place.logs, "schedule", utc_now))):
        say(problem)


def _show_line(report: "EveningReport") -> None:
    from forecasting.evening_report import report_to_json

    typer.echo(json.dumps(report_to_json(report)))


def _show(report: "EveningReport") -> None:
    from forecasting.cli import render_record

    render_record.show_evening(report)
