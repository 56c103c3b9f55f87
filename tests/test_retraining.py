"""The evening job: what an evening leaves behind, and what happens where something fails."""

import json
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from cli_helpers import Tickercast
from helpers import utc
from live_evenings import SMALL, LiveEvenings, log_lines

from forecasting.bars import PRICE_COLUMNS
from forecasting.evening_report import last_report
from forecasting.model.forecaster import RNNForecaster
from forecasting.registry import Registry
from forecasting.scoring import Scores
from forecasting.sessions import session_open
from forecasting.status import read_status
from forecasting.workspace import Workspace

TOO_LONG = replace(SMALL, training=replace(SMALL.training, window=400))


@pytest.fixture(scope="module")
def first_evening(tmp_path_factory):
    """The workspace after the first evening, and its report."""
    evenings = LiveEvenings(Workspace(tmp_path_factory.mktemp("evening") / "workspace"), "AAA", "BBB")
    return evenings.workspace.root, evenings.run("2018-06-01")


@pytest.fixture
def evenings(workspace, first_evening):
    """AAA and BBB after their first evening, 1 June 2018, a Friday."""
    shutil.copytree(first_evening[0], workspace.root)
    return LiveEvenings(workspace, "AAA", "BBB")


def days_of(report):
    return [session.day for session in report.sessions]


def flagged(table, flag):
    """Return the symbols whose rows all carry a flag; none may carry it on some alone."""
    carries = table["flags"].map(lambda flags: flag in flags)
    some, every = (set(table["symbol"][carries]), set(table["symbol"]) - set(table["symbol"][~carries]))
    assert some == every
    return every


def break_training(monkeypatch, error):
    def broken(*_arguments, **_options):
        raise error

    monkeypatch.setattr(RNNForecaster, "fit", broken)


def test_the_first_evening_trains_issues_live_exports_and_reports(evenings, first_evening):
    report = first_evening[1]
    assert (report.outcome, report.exit_code, report.error) == ("done", 0, None)
    assert [step.name for step in report.steps] == [
        "fetch", "validate", "train", "compare", "forecast", "score", "export",
    ]  # fmt: skip
    assert (report.issued, report.scored, days_of(report)) == (10, 0, [1])
    assert report.decision.startswith("the universe has no model yet: ")
    rows = evenings.ledger.read()
    assert set(rows["mode"]) == {"live"}
    assert (rows["as_of"] == utc("2018-06-01 21:00")).all()
    assert flagged(rows, "stale") == flagged(rows, "old_model") == set()
    assert evenings.ledger.head() == (report.ledger_rows, report.ledger_head) == (10, report.ledger_head)
    exported = evenings.exported()
    dated = f"forecast-2018-06-01-{report.model_id}"
    assert set(exported) == {f"{dated}.csv", f"{dated}-wide.csv", "latest.csv", "latest-wide.csv"}
    assert exported["latest.csv"] == exported[f"{dated}.csv"]
    assert set(map(str, first_evening[0].rglob("*.csv"))) <= set(report.files)
    assert last_report(evenings.workspace) == report
    assert Registry(evenings.workspace.models).champion_of("watched").model_id == report.model_id


def test_a_second_run_of_an_evening_does_nothing_and_says_so(evenings):
    head, exported, weights = evenings.ledger.head(), evenings.exported(), evenings.weights()
    report = evenings.run("2018-06-01", at="23:00")
    assert (report.outcome, report.exit_code, report.sessions) == ("nothing_new", 0, ())
    assert report.summary == "nothing new"
    assert report.decision == "no training is due: 0 of 20 sessions have come since 2018-06-01"
    assert evenings.ledger.head() == head
    assert evenings.exported() == exported
    assert evenings.weights() == weights
    assert len(Registry(evenings.workspace.models).entries()) == 2


def test_forecasts_are_scored_as_they_mature_and_a_model_is_trained_when_due(evenings):
    second = evenings.run("2018-06-04", train_every=2)
    assert (second.outcome, second.issued, second.scored) == ("done", 10, 2)
    assert second.decision == "no training is due: 1 of 2 sessions have come since 2018-06-01"
    third = evenings.run("2018-06-05", train_every=2)
    assert (third.issued, third.scored) == (10, 4)
    assert third.decision.startswith("2 sessions have come since the newest model, 2 make one due: rnn-2018")
    registry = Registry(evenings.workspace.models)
    candidate = registry.models_of("watched")[1]
    assert registry.decision_on("watched", candidate).reason in third.decision
    assert third.model_id == registry.champion_of("watched").model_id
    again = evenings.run("2018-06-05", train_every=1)
    assert again.outcome == "nothing_new"
    assert len(registry.models_of("watched")) == 2


def test_missed_evenings_are_caught_up_and_nothing_is_pretended_to_have_been_in_time(evenings):
    report = evenings.run("2018-06-07")
    assert (report.outcome, days_of(report), report.issued) == ("done", [4, 5, 6, 7], 40)
    rows = evenings.ledger.read()
    late = rows[rows["origin"] > "2018-06-01"]
    now = utc("2018-06-07 21:00")
    assert (late["as_of"] == now).all()
    opened = [session_open("XNYS", day) <= now for day in late["target_session"]]
    assert late["mode"].tolist() == ["replay" if late else "live" for late in opened]
    assert late.groupby("origin")["mode"].apply(lambda modes: (modes == "live").sum()).tolist() == [4, 6, 8, 10]
    # from Friday four sessions matured, from each later one a session less
    scores = Scores(evenings.workspace.scores).read()
    assert report.scored == 2 * (4 + 3 + 2 + 1) == len(scores) / 2  # under two views
    assert scores.groupby("origin")["mode"].unique().map(list).tolist() == [["live"], *[["replay"]] * 3]
    for day in report.sessions:
        exported = evenings.table(f"forecast-{day.date()}-{report.model_id}")
        assert set(exported["origin"]) == {str(day.date())}
        assert set(exported["symbol"]) == {"AAA", "BBB"}
    assert set(evenings.table("latest")["origin"]) == {"2018-06-07"}


def test_symbols_that_fail_or_are_too_short_are_named_and_the_others_issued(workspace):
    evenings = LiveEvenings(workspace, "AAA", "DOWN", "EMPTY", "FLAT", "NEW", "VOID")
    evenings.source.down, evenings.source.listed = {"DOWN"}, {"NEW": pd.Timestamp("2018-05-01")}
    evenings.source.spoilt = {
        "EMPTY": lambda bars: bars.iloc[:0],
        "FLAT": lambda bars: bars.assign(**dict.fromkeys(PRICE_COLUMNS, 50.0)),
        "VOID": lambda bars: bars.mask(bars["session"] == "2018-05-29", bars.assign(close=-1.0)),
    }
    report = evenings.run("2018-06-01")
    assert (report.outcome, report.exit_code, report.issued) == ("partly", 3, 10)
    assert report.failures == {
        "DOWN": "DOWN: no answer; next: later",
        "EMPTY": "EMPTY has 0 bars, a forecast needs 120",
        "NEW": "NEW has 23 bars, a forecast needs 120",
        "VOID": "VOID has 3 bars since 2018-05-29 (its price was not positive there, so no log return exists), a "
        "forecast needs 120",
    }
    assert set(evenings.table("latest")["symbol"]) == {"AAA", "FLAT"}
    assert report.summary.endswith("failed: DOWN, EMPTY, NEW, VOID")
    assert any("FLAT: stale_run" in warning for warning in report.warnings)


def test_where_no_symbol_can_be_fetched_the_job_goes_on_with_what_is_stored(evenings):
    before = evenings.ledger.head()
    evenings.source.down = {"AAA", "BBB"}
    report = evenings.run("2018-06-04")
    assert (report.outcome, report.exit_code, report.error) == ("partly", 3, None)
    assert report.failures == {s: f"{s}: no answer; next: later" for s in ("AAA", "BBB")}
    assert set(report.stale) == {"AAA", "BBB"}
    assert report.steps[0].failed
    assert evenings.ledger.head() == before
    assert flagged(evenings.table("latest"), "stale") == {"AAA", "BBB"}
    evenings.source.down = set()
    assert days_of(evenings.run("2018-06-05")) == [4, 5]


def test_where_nothing_is_stored_and_nothing_comes_the_job_has_failed(workspace):
    evenings = LiveEvenings(workspace, "AAA", "BBB")
    evenings.source.down = {"AAA", "BBB"}
    report = evenings.run("2018-06-01")
    assert (report.outcome, report.exit_code, report.issued) == ("failed", 1, 0)
    assert report.error.startswith("none of 2 symbols could be fetched")
    assert report.failures == {s: f"{s}: no answer; next: later" for s in ("AAA", "BBB")}
    assert last_report(workspace) == report
    # what there is to tell, and no table or model begun
    assert {p.name for p in workspace.root.iterdir()} <= {".lock", "workspace.json", "jobs", "logs", "reports"}
    assert read_status(workspace)["symbols"] == []
    evenings.source.down = set()
    assert evenings.run("2018-06-01").outcome == "done"


@pytest.mark.parametrize(
    ("recipe", "error"), [(TOO_LONG, None), (None, RuntimeError("planned"))], ids=["too few bars", "any other error"]
)
def test_a_training_that_fails_leaves_the_champion_whose_forecasts_are_flagged(evenings, monkeypatch, recipe, error):
    before = Registry(evenings.workspace.models).entries()
    with monkeypatch.context() as patch:
        if error:
            break_training(patch, error)
        report = evenings.run("2018-06-04", recipe, train_every=1)
    assert (report.outcome, report.exit_code, report.issued) == ("partly", 3, 10)
    assert "training failed: " in report.decision
    assert any("serves on, its forecasts are flagged" in warning for warning in report.warnings)
    assert Registry(evenings.workspace.models).entries() == before
    assert report.model_id == before[-1].model_id
    rows = evenings.ledger.read()
    assert flagged(rows[rows["origin"] == "2018-06-04"], "old_model") == {"AAA", "BBB"}
    assert flagged(rows[rows["origin"] == "2018-06-01"], "old_model") == set()
    assert flagged(evenings.table("latest"), "old_model") == {"AAA", "BBB"}
    # as soon as training works again, nothing is flagged
    report = evenings.run("2018-06-05", train_every=1)
    assert (report.outcome, report.exit_code) == ("done", 0)
    assert flagged(evenings.table("latest"), "old_model") == set()


@pytest.mark.parametrize("error", [None, RuntimeError("planned")])
def test_where_the_first_training_fails_the_job_has_failed_and_the_next_one_completes(workspace, monkeypatch, error):
    evenings = LiveEvenings(workspace, "AAA", "BBB")
    with monkeypatch.context() as patch:
        if error:
            break_training(patch, error)
        report = evenings.run("2018-06-01", SMALL if error else TOO_LONG)
    assert (report.outcome, report.exit_code, report.issued) == ("failed", 1, 0)
    assert ("planned" if error else "400") in report.error
    assert last_report(workspace) == report
    assert not workspace.exports.exists()
    report = evenings.run("2018-06-01")
    assert (report.outcome, report.issued) == ("done", 10)


def test_whatever_ends_the_job_is_reported_and_the_next_run_completes(evenings, monkeypatch):
    def broken(*_arguments):
        raise RuntimeError("planned")

    with monkeypatch.context() as patch:
        patch.setattr(Scores, "update", broken)
        report = evenings.run("2018-06-04")
    assert (report.outcome, report.exit_code, report.error) == ("failed", 1, "RuntimeError: planned")
    assert (report.issued, report.steps[-1].name, report.steps[-1].failed) == (10, "score", True)
    assert last_report(evenings.workspace) == report
    last = json.loads((evenings.workspace.logs / "tickercast.log").read_text().splitlines()[-1])
    assert "in broken" in last["detail"]
    report = evenings.run("2018-06-04")
    assert (report.outcome, report.issued, report.scored) == ("done", 0, 2)
    assert len(evenings.exported()) == 6


def test_where_the_source_stops_delivering_its_symbol_is_flagged(evenings):
    evenings.source.last_told["BBB"] = pd.Timestamp("2018-06-01")
    report = evenings.run("2018-06-04")
    assert (report.outcome, report.exit_code, report.issued) == ("partly", 3, 5)
    assert report.stale == {"BBB": "BBB was last seen on 2018-06-01, 2018-06-04 is complete"}
    assert flagged(evenings.table("latest"), "stale") == {"BBB"}
    assert flagged(evenings.table(f"forecast-2018-06-01-{report.model_id}"), "stale") == set()
    # it comes back a day late: what is forecast from its old price says so
    evenings.source.last_told["BBB"] = pd.Timestamp("2018-06-05")
    report = evenings.run("2018-06-06")
    assert report.exit_code == 3
    rows = evenings.ledger.read(["BBB"])
    stale = {day.day: {"stale" in flags for flags in of_day} for day, of_day in rows.groupby("origin")["flags"]}
    assert stale == {1: {False}, 4: {False}, 5: {True}}
    assert flagged(evenings.table("latest"), "stale") == {"BBB"}
    evenings.source.last_told.clear()
    assert evenings.run("2018-06-07").stale == {}
    assert flagged(evenings.table("latest"), "stale") == set()


def test_each_symbol_is_forecast_from_the_last_session_of_its_own_exchange(workspace):
    evenings = LiveEvenings(workspace, "AAA", "7203.T", "BTC-USD")
    evenings.run("2018-06-01")  # Friday evening in New York: it is Saturday in Tokyo, and the coin trades on

    def origins():
        rows = evenings.ledger.read(columns=["symbol", "origin"]).drop_duplicates()
        return {symbol: [day.day for day in days] for symbol, days in rows.groupby("symbol")["origin"]}

    assert origins() == {"AAA": [1], "7203.T": [1], "BTC-USD": [31]}
    saturday = evenings.run("2018-06-02", at="06:00")
    assert (saturday.outcome, days_of(saturday), saturday.issued) == ("done", [1], 5)
    assert evenings.run("2018-06-02", at="23:00").outcome == "nothing_new"
    tokyo = evenings.run("2018-06-04", at="07:00")
    assert origins() == {"AAA": [1], "7203.T": [1, 4], "BTC-USD": [31, 1, 2, 3]}
    modes = evenings.ledger.read().groupby(["symbol", "origin"])["mode"].unique().map(list)
    # the coin's sessions end at midnight in UTC: six hours later they are live no more
    assert modes["BTC-USD"].tolist() == [["replay"], ["live"], ["replay"], ["replay"]]
    assert modes["AAA"].tolist() == [["live"]]
    assert modes["7203.T"].tolist() == [["live"]] * 2
    assert tokyo.exit_code == 0
    assert evenings.ledger.verify() == 35
    assert evenings.table("latest").groupby("symbol")["origin"].first().to_dict() == {
        "7203.T": "2018-06-04", "AAA": "2018-06-01", "BTC-USD": "2018-06-03",
    }  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(first_evening, tmp_path_factory):
    """What two evenings that were caught up leave, with a training, where nothing stops the job."""
    folder = tmp_path_factory.mktemp("unbroken") / "workspace"
    shutil.copytree(first_evening[0], folder)
    evenings = LiveEvenings(Workspace(folder), "AAA", "BBB")
    report = evenings.run("2018-06-05", train_every=1)
    return evenings, report


@pytest.mark.parametrize("steps", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2, 4)), 3, 5, 6])
def test_a_run_that_is_stopped_after_a_step_is_completed_by_the_next(evenings, unbroken, steps):
    begin = log_lines(evenings.workspace)
    stopped = evenings.run(
        "2018-06-05", train_every=1, should_stop=lambda: log_lines(evenings.workspace) >= begin + steps
    )
    assert (stopped.outcome, stopped.exit_code, len(stopped.steps)) == ("partly", 3, steps)
    assert "the next run goes on from here" in stopped.warnings[-1]
    report = evenings.run("2018-06-05", train_every=1)
    assert (report.outcome, report.exit_code) == ("done", 0)
    assert evenings.ledger.head() == unbroken[0].ledger.head()
    assert evenings.weights() == unbroken[0].weights()
    assert evenings.exported() == unbroken[0].exported()
    pd.testing.assert_frame_equal(*(Scores(e.workspace.scores).read() for e in (evenings, unbroken[0])))


def test_a_run_that_is_stopped_while_it_trains_says_so_and_the_next_completes(evenings, unbroken):
    trained = []
    stopped = evenings.run(
        "2018-06-05",
        train_every=1,
        progress=lambda what, *_: trained.append(what),
        should_stop=lambda: "train" in trained,
    )
    assert stopped.outcome == "partly"
    assert (stopped.steps[-1].name, stopped.steps[-1].failed) == ("train", True)
    assert "stopped" in stopped.steps[-1].detail
    record = json.loads(max(evenings.workspace.jobs.iterdir(), key=lambda path: path.stat().st_mtime_ns).read_text())
    assert (record["verb"], record["error"]) == ("retrain", stopped.warnings[-1])
    assert evenings.run("2018-06-05", train_every=1).outcome == "done"
    assert evenings.ledger.head() == unbroken[0].ledger.head()


def test_while_another_process_writes_the_job_is_refused(evenings, tmp_path):
    universe = tmp_path / "watched.csv"
    universe.write_text("symbol\nAAA\nBBB\n")
    place = Tickercast(evenings.workspace.root)
    before = place.fingerprint()
    with evenings.workspace.lock():
        result = place("retrain", "--universe", str(universe))
    assert result.exit_code == 4
    assert "another tickercast is writing" in result.stderr
    assert place.fingerprint() == before
    assert json.loads((evenings.workspace.reports / "last-run.json").read_text())["outcome"] == "done"
