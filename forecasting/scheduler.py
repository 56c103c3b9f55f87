"""The schedule: run the evening job after each close of the universe's exchanges, for as long as the process lives.

A run is due when sessions are complete (`forecasting.closing_times`). A close that was missed, because the process did
not run, the machine slept or its clock was wrong, is due at once, and the job catches up the evenings it finds open.
A run that did not end well is repeated, until the next close is due: after each of `RETRIES` where symbols failed or
are stale, and after the longest of them again and again where all failed. Where another job holds the workspace, it is
waited for.
"""

import traceback
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pandas as pd

from forecasting.closing_times import next_completion
from forecasting.errors import DataError, TickercastError, WorkspaceBusy, WorkspaceError
from forecasting.evening_report import EveningReport, failed_report, last_report, last_report_path, save_report
from forecasting.logs import JobLog
from forecasting.sessions import calendar_of, time_zone_of
from forecasting.store import PriceStore
from forecasting.workspace import Workspace

RETRIES = (timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))
"""Waits after the first, the second and the third run for a close that did not end well."""

BUSY_WAIT = timedelta(minutes=5)
"""Wait while another job holds the workspace."""

BUSY_TRIES = 18
"""After so many of them, an hour and a half, the other job may hang, and the user is told as of a failure."""

LONGEST_SLEEP = timedelta(minutes=1)
"""The clock is looked at this often: that the machine slept, or its clock was set, is noticed by then."""


@dataclass(frozen=True)
class Schedule:
    """What is run, and what it lives on.

    Parameters
    ----------
    workspace : where the log and the reports are
    universe : name
    job : runs an evening and saves its report
    calendars : names of the universe's exchange calendars; asked anew after each run
    clock : tells the UTC instant
    sleep : waits for some seconds, or less once the schedule is to stop
    stop : whether it is to end at the next safe point: at once between two runs; a running job asks the same
    show : told of each run's report
    on_failure : told, once for each close, of a run that did not end well when the `RETRIES` are used up; with the
        path of the report, None where it could not be saved
    say : told in words what is waited for
    """

    workspace: Workspace
    universe: str
    job: Callable[[], EveningReport]
    calendars: Callable[[], Collection[str]]
    clock: Callable[[], pd.Timestamp]
    sleep: Callable[[float], None]
    stop: Callable[[], bool]
    show: Callable[[EveningReport], None]
    on_failure: Callable[[EveningReport, Path | None], None]
    say: Callable[[str], None]


def run_schedule(schedule: Schedule) -> None:
    """Run the job after each close until told to stop; at once where a close was missed since the last run.

    Raises
    ------
    TickercastError
        The calendars cannot be told at the start. Later they stay what they were, and the job says what is wrong.
    """
    calendars = schedule.calendars()
    last_run = _last_good_run(schedule.workspace, schedule.universe)
    while True:
        now = schedule.clock()
        # a last run that is yet to come was dated by a clock that was wrong
        due = now if last_run is None or last_run > now else next_completion(calendars, last_run)
        if not _wait(schedule, due, last_run or now, f"the close of {', '.join(sorted(calendars))}"):
            return
        last_run = _run_for_close(schedule, due, calendars)
        with suppress(TickercastError, OSError):
            calendars = schedule.calendars()


def _last_good_run(workspace: Workspace, universe: str) -> pd.Timestamp | None:
    """Return when the workspace's last run began, if it was of this universe and left nothing to be done."""
    with suppress(WorkspaceError):  # a damaged report is replaced by the next one
        report = last_report(workspace)
        if report and report.universe == universe and report.exit_code == 0:
            return report.started
    return None


def _run_for_close(schedule: Schedule, due: pd.Timestamp, calendars: Collection[str]) -> pd.Timestamp:
    """Run the job until it ends well, nothing is left to try or the next close comes; return when it last began."""
    runs = busy = 0
    wait: timedelta | None
    while True:
        started = schedule.clock()
        try:
            report = _run_once(schedule, started, due)
        except WorkspaceBusy as error:
            busy += 1
            report, wait = failed_report(schedule.universe, started, schedule.clock(), error), BUSY_WAIT
            is_over = busy == BUSY_TRIES
        else:
            runs += 1
            wait = _wait_after(report, runs)
            is_over = wait is None or runs == len(RETRIES) + 1
            schedule.show(report)
        if report.exit_code and is_over and not schedule.stop():  # a run that was to stop is finished by the next
            schedule.on_failure(report, _path_of(report, schedule.workspace))
        if wait is None or (again := schedule.clock() + wait) >= next_completion(calendars, started):
            return started
        if not _wait(schedule, again, started, report.error or "what is missing"):
            return started


def _run_once(schedule: Schedule, started: pd.Timestamp, due: pd.Timestamp) -> EveningReport:
    """Run the job and log it; an error becomes the report of a failed run, `WorkspaceBusy` apart."""
    log = JobLog(schedule.workspace.logs, "schedule", schedule.clock)
    late = max(round((started - due).total_seconds()), 0)
    log.note("wake", f"{schedule.universe}, due {due:%Y-%m-%dT%H:%MZ}", late_s=late)
    try:
        with log.step("evening") as step:
            report = schedule.job()
            step.detail, step.failed = report.summary, report.outcome == "failed"
            return report
    except WorkspaceBusy:
        raise
    except Exception as error:  # an evening must not end the schedule
        if not isinstance(error, TickercastError):
            schedule.say("".join(traceback.format_exception(error)))
        report = failed_report(schedule.universe, started, schedule.clock(), error)
        with suppress(WorkspaceError), schedule.workspace.lock():
            save_report(schedule.workspace, report)
        return report
    finally:
        if log.problem:
            schedule.say(log.problem)


def _wait_after(report: EveningReport, runs: int) -> timedelta | None:
    """Return how long to wait before the next run for the same close; None where there is none."""
    if report.outcome == "failed":
        return RETRIES[min(runs, len(RETRIES)) - 1]
    return RETRIES[runs - 1] if (report.failures or report.stale) and runs <= len(RETRIES) else None


def _path_of(report: EveningReport, workspace: Workspace) -> Path | None:
    with suppress(WorkspaceError):
        if last_report(workspace) == report:
            return last_report_path(workspace)
    return None


def _wait(schedule: Schedule, until: pd.Timestamp, since: pd.Timestamp, what: str) -> bool:
    """Sleep until an instant, or until the clock is set back before `since`; return False once told to stop."""
    told = False
    while not schedule.stop():
        now = schedule.clock()
        if now >= until or now < since:
            return True
        if not told:
            schedule.say(f"next run at {until:%Y-%m-%d %H:%M} UTC, for {what}")
            told = True
        schedule.sleep(min(LONGEST_SLEEP, until - now).total_seconds())
    return False


def read_calendars(workspace: Workspace, symbols: Iterable[str]) -> frozenset[str]:
    """Return the exchange calendars that symbols keep: as stored, else by their notation.

    A symbol whose calendar is not known or cannot be built has no close to wait for; the job names it.

    Raises
    ------
    DataError
        There is no calendar at all.
    """
    instruments = PriceStore(workspace.prices).instruments()
    calendars = set()
    for symbol in symbols:
        with suppress(DataError):
            calendar = instruments[symbol].calendar if symbol in instruments else calendar_of(symbol)
            time_zone_of(calendar)
            calendars.add(calendar)
    if not calendars:
        raise DataError(
            f"of {', '.join(symbols)} no exchange calendar is known: without one there is no close to wait for; next: "
            "tickercast fetch, or another --universe"
        )
    return frozenset(calendars)
