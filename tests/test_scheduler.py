import json
from contextlib import ExitStack

import pandas as pd
import pytest
from helpers import utc

from forecasting.cli.inputs import choose_universe
from forecasting.errors import DataError, UsageError
from forecasting.evening_report import EveningReport, last_report, save_report
from forecasting.ingestion.files import FileProvider
from forecasting.jobs import fetch_prices
from forecasting.scheduler import Schedule, read_calendars, run_schedule

MINUTE = pd.Timedelta(minutes=1)


class Evenings:
    """A schedule on a clock that only sleeping moves; what becomes of each run is told by `outcomes`, at last done.

    Each run takes a minute, holds the workspace and saves its report, as the evening job does.
    """

    def __init__(self, workspace, begin, end, calendars=("XNYS",), outcomes=()):
        self.workspace, self.now, self.end = workspace, utc(begin), utc(end)
        self.outcomes = iter(outcomes)
        self.runs, self.shown, self.told, self.said = [], [], [], []
        self.wanted = lambda: frozenset(calendars)
        self.events = {}

    def job(self):
        started = self.now
        self.runs.append(f"{started:%m-%d %H:%M}")
        outcome = next(self.outcomes, {"outcome": "done"})
        if isinstance(outcome, Exception):
            raise outcome
        with self.workspace.lock():
            self.now += MINUTE
            report = EveningReport("us20", started, self.now, **outcome)
            save_report(self.workspace, report)
        return report

    def at(self, instant, do):
        """Let something happen in the sleep that begins at an instant, once."""
        self.events[utc(instant)] = do

    def set_clock(self, to):
        self.now = utc(to)

    def sleep(self, seconds):
        assert 0 < seconds <= 60
        self.events.pop(self.now, lambda: None)()
        self.now += pd.Timedelta(seconds=seconds)

    def stay_up(self, job=None):
        run_schedule(
            Schedule(
                workspace=self.workspace,
                universe="us20",
                job=job or self.job,
                calendars=lambda: self.wanted(),
                clock=lambda: self.now,
                sleep=self.sleep,
                stop=lambda: self.now >= self.end,
                show=self.shown.append,
                on_failure=lambda report, path: self.told.append((f"{report.started:%m-%d %H:%M}", report, path)),
                say=self.said.append,
            )
        )
        return self.runs

    @property
    def log(self):
        return [json.loads(line) for line in (self.workspace.logs / "tickercast.log").read_text().splitlines()]


def ran(workspace, started, outcome="done", universe="us20"):
    """Leave the report of a run."""
    save_report(workspace, EveningReport(universe, utc(started), utc(started) + MINUTE, outcome))


FAILED, STALE = {"outcome": "failed", "error": "no network"}, {"outcome": "partly", "stale": {"AAPL": "late"}}


def test_it_runs_an_hour_after_each_close_and_logs_each_wake(workspace):
    ran(workspace, "2018-12-20 22:00")
    evenings = Evenings(workspace, "2018-12-21 12:00", "2018-12-27 12:00")
    assert evenings.stay_up() == ["12-21 22:00", "12-24 19:00", "12-26 22:00"]
    assert evenings.said[:2] == [
        "next run at 2018-12-21 22:00 UTC, for the close of XNYS",
        "next run at 2018-12-24 19:00 UTC, for the close of XNYS",
    ]
    assert [(line["job"], line["step"], line["outcome"]) for line in evenings.log] == 3 * [
        ("schedule", "wake", "ok"),
        ("schedule", "evening", "ok"),
    ]
    assert evenings.log[0]["detail"] == "us20, due 2018-12-21T22:00Z"
    assert evenings.log[1]["detail"] == "done"
    assert len(evenings.shown) == 3
    assert evenings.told == []


def test_a_new_workspace_has_its_first_run_at_once(workspace):
    assert Evenings(workspace, "2018-12-22 12:00", "2018-12-25 12:00").stay_up() == ["12-22 12:00", "12-24 19:00"]


@pytest.mark.parametrize("missed", [1, 9])
def test_closes_missed_while_nothing_ran_are_caught_up_at_once_in_one_run(workspace, missed):
    ran(workspace, "2018-12-10 22:00")
    began = utc("2018-12-11 22:10") + pd.Timedelta(days=missed - 1)
    evenings = Evenings(workspace, str(began.tz_localize(None)), "2018-12-22")
    assert evenings.stay_up()[0] == f"{began:%m-%d %H:%M}"
    assert evenings.log[0]["counts"]["late_s"] == ((missed - 1) * 24 * 60 + 10) * 60


@pytest.mark.parametrize(
    ("started", "outcome", "universe"),
    [
        ("2018-12-20 22:00", "failed", "us20"),
        ("2018-12-20 22:00", "partly", "us20"),
        ("2018-12-20 22:00", "done", "another"),
        ("2038-01-19 00:00", "done", "us20"),  # by a clock that was wrong
    ],
)
def test_a_last_run_that_does_not_count_makes_one_due_at_once(workspace, started, outcome, universe):
    ran(workspace, started, outcome, universe)
    assert Evenings(workspace, "2018-12-21 12:00", "2018-12-21 23:00").stay_up() == ["12-21 12:00", "12-21 22:00"]


def test_a_machine_that_slept_through_a_close_runs_within_a_minute_of_waking(workspace):
    ran(workspace, "2018-12-20 22:00")
    evenings = Evenings(workspace, "2018-12-21 12:00", "2018-12-24 12:00")
    evenings.at("2018-12-21 20:00", lambda: evenings.set_clock("2018-12-23 02:00"))
    assert evenings.stay_up() == ["12-23 02:01"]


@pytest.mark.parametrize(
    ("set_to", "runs"),
    [("2018-12-21 09:00", ["12-21 09:01", "12-21 22:00"]), ("2018-12-21 23:00", ["12-21 23:01"])],
)
def test_a_clock_that_is_set_is_noticed_within_a_minute(workspace, set_to, runs):
    ran(workspace, "2018-12-21 11:00")
    evenings = Evenings(workspace, "2018-12-21 12:00", "2018-12-22 12:00")
    evenings.at("2018-12-21 13:00", lambda: evenings.set_clock(set_to))
    assert evenings.stay_up() == runs


def test_a_failed_run_is_repeated_until_the_next_close_and_told_once_the_retries_are_used_up(workspace):
    ran(workspace, "2018-12-20 22:00")
    evenings = Evenings(workspace, "2018-12-21 12:00", "2018-12-24 22:00", outcomes=[FAILED] * 1000)
    runs = evenings.stay_up()
    assert runs[:6] == ["12-21 22:00", "12-21 22:06", "12-21 22:22", "12-21 23:23", "12-22 00:24", "12-22 01:25"]
    assert runs[-6:] == ["12-24 18:29", "12-24 19:00", "12-24 19:06", "12-24 19:22", "12-24 20:23", "12-24 21:24"]
    assert [when for when, _, _ in evenings.told] == ["12-21 23:23", "12-24 20:23"]
    assert {report.error for _, report, _ in evenings.told} == {"no network"}
    assert {path for _, _, path in evenings.told} == {workspace.reports / "last-run.json"}
    assert "next run at 2018-12-21 22:06 UTC, for no network" in evenings.said


def test_a_failure_that_passes_is_not_told(workspace):
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-24 12:00", outcomes=[FAILED, FAILED])
    assert evenings.stay_up() == ["12-21 22:00", "12-21 22:06", "12-21 22:22"]
    assert evenings.told == []
    assert [(line["outcome"], line["detail"]) for line in evenings.log if line["step"] == "evening"] == [
        ("failed", "failed; no network"),
        ("failed", "failed; no network"),
        ("ok", "done"),
    ]


def test_what_is_stale_is_asked_for_three_times_more_then_told_and_left(workspace):
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-24 12:00", outcomes=[STALE] * 10)
    assert evenings.stay_up() == ["12-21 22:00", "12-21 22:06", "12-21 22:22", "12-21 23:23"]
    assert [when for when, _, _ in evenings.told] == ["12-21 23:23"]
    late = Evenings(workspace, "2018-12-24 19:00", "2018-12-26 12:00", outcomes=[STALE])
    assert late.stay_up() == ["12-24 19:00", "12-24 19:06"]
    assert late.told == []


def test_what_is_partly_done_for_no_symbols_sake_is_told_and_not_repeated(workspace):
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-24 12:00", outcomes=[{"outcome": "partly"}])
    assert evenings.stay_up() == ["12-21 22:00"]
    assert [when for when, _, _ in evenings.told] == ["12-21 22:00"]


@pytest.mark.parametrize("error", [DataError("no prices; next: fetch"), ZeroDivisionError("division by zero")])
def test_an_error_is_an_evening_that_failed_and_the_schedule_goes_on(workspace, error):
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-21 22:03", outcomes=[error])
    assert evenings.stay_up() == ["12-21 22:00"]
    report = last_report(workspace)
    assert report == evenings.shown[0]
    assert (report.outcome, report.universe) == ("failed", "us20")
    assert str(error) in report.error
    assert any("Traceback" in words for words in evenings.said) == isinstance(error, ZeroDivisionError)


def test_a_report_that_cannot_be_saved_is_told_without_a_path(workspace):
    ran(workspace, "2018-12-20 22:00")
    (workspace.reports / "last-run.json").unlink()
    (workspace.reports / "last-run.json").mkdir()
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-22 00:00", outcomes=[DataError("full")] * 4)
    evenings.stay_up()
    ((_, report, path),) = evenings.told
    assert (report.error, path) == ("full", None)


def test_a_log_that_cannot_be_written_is_said_and_the_job_runs(workspace):
    workspace.root.mkdir()
    workspace.logs.write_text("")
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-21 23:00")
    assert evenings.stay_up() == ["12-21 22:00"]
    assert [line for line in evenings.said if "cannot be written" in line] == [
        f"{workspace.logs}/tickercast.log cannot be written (File exists)"
    ]


def test_another_job_is_waited_for_and_told_of_once_it_may_hang(workspace):
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-22 02:00")
    with ExitStack() as other:
        other.enter_context(workspace.lock())
        evenings.at("2018-12-22 01:00", other.close)
        runs = evenings.stay_up()
    assert runs[:3] == ["12-21 22:00", "12-21 22:05", "12-21 22:10"]
    assert runs[-1] == "12-22 01:05"
    assert [(when, path) for when, _, path in evenings.told] == [("12-21 23:25", None)]
    assert "another tickercast is writing" in evenings.told[0][1].error
    assert [report.outcome for report in evenings.shown] == ["done"]


def test_a_universe_that_changed_is_read_anew_after_each_run(workspace, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("symbol\nAAPL\n")
    ran(workspace, "2018-12-20 22:00")
    evenings = Evenings(workspace, "2018-12-21 12:00", "2018-12-26 12:00")
    evenings.wanted = lambda: read_calendars(workspace, choose_universe(None, str(file)).symbols)

    def edit():
        if len(evenings.runs) == 0:
            file.write_text("symbol\nAAPL\n7203.T\n")
        if len(evenings.runs) == 2:
            file.unlink()  # while it is edited, the exchanges stay what they were
        return Evenings.job(evenings)

    assert evenings.stay_up(edit) == ["12-21 22:00", "12-24 19:00", "12-25 07:00", "12-26 07:00"]
    with pytest.raises(UsageError, match=r"mine\.csv"):
        evenings.stay_up()


def test_it_ends_at_once_between_runs_and_after_the_run_that_is_asked_to_stop(workspace):
    evenings = Evenings(workspace, "2018-12-21 22:00", "2018-12-21 22:01", outcomes=[FAILED])
    assert evenings.stay_up() == ["12-21 22:00"]
    assert evenings.now == utc("2018-12-21 22:01")
    stopped = Evenings(workspace, "2018-12-22 12:00", "2018-12-22 12:01", outcomes=[{"outcome": "partly"}])
    assert stopped.stay_up() == ["12-22 12:00"]
    assert stopped.told == []
    assert Evenings(workspace, "2018-12-22 12:00", "2018-12-22 12:00").stay_up() == []


def test_calendars_are_those_stored_or_else_told_by_the_symbol(workspace, tmp_path):
    (tmp_path / "AAPL.csv").write_text("Date,Close\n2018-12-28,1\n2018-12-31,2\n")
    fetch_prices(
        workspace,
        FileProvider(tmp_path / "AAPL.csv", "split", calendar="XFRA", currency="EUR"),
        clock=lambda: utc("2019-01-02"),
    )
    assert read_calendars(workspace, ["AAPL", "MSFT", "BTC-USD", "^NOSUCH", "X.ZZ"]) == {"XFRA", "XNYS", "24/7"}
    with pytest.raises(DataError, match=r"\^NOSUCH no exchange calendar is known.*next:"):
        read_calendars(workspace, ["^NOSUCH"])
