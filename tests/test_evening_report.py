import json
from dataclasses import replace

import pandas as pd
import pytest
from helpers import utc
from html_helpers import Page

from forecasting import evening_report
from forecasting.errors import DataError, WorkspaceError
from forecasting.evening_report import (
    EveningReport,
    failed_report,
    last_report,
    last_report_path,
    report_from_json,
    report_page,
    report_to_json,
    save_report,
)
from forecasting.logs import StepRecord
from forecasting.workspace import write_json

HOSTILE = "</style><script>alert(1)</script>&"
FULL = EveningReport(
    universe="us20",
    started=utc("2018-12-24 19:00:00.123456"),
    ended=utc("2018-12-24 19:01:30"),
    outcome="partly",
    sessions=(pd.Timestamp("2018-12-21").as_unit("us"), pd.Timestamp("2018-12-24").as_unit("us")),
    steps=(
        StepRecord("fetch", 1.25, {"bars": 40, "symbols": 20}, "from yahoo"),
        StepRecord("train", 80.0, {}, "the loss left the finite numbers", failed=True),
    ),
    model_id="rnn-2018-11-30-abc",
    decision="The champion stays: training failed.",
    issued=380,
    scored=372,
    failures={"NOPE": "unknown symbol; next: leave it out"},
    stale={"AAPL": "AAPL was last seen on 2018-12-21, 2018-12-24 is complete"},
    warnings=("the log could not be written",),
    files=("/data/exports/latest.csv",),
    ledger_rows=7600,
    ledger_head="ab" * 32,
)
DONE = EveningReport("us20", utc("2018-12-24 19:00"), utc("2018-12-24 19:01"), "done")


@pytest.mark.parametrize("report", [FULL, DONE, failed_report("us20", DONE.started, DONE.ended, KeyError("a"))])
def test_a_report_comes_back_from_json_as_it_was(report):
    assert report_from_json(json.loads(json.dumps(report_to_json(report)))) == report


def test_json_of_something_else_is_refused():
    values = report_to_json(FULL)
    for changed in (
        {**values, "format": 2},
        {**values, "outcome": "perfect"},
        {**values, "color": "red"},
        {"format": 1},
        {**values, "started": None},
    ):
        with pytest.raises((KeyError, TypeError, ValueError)):
            report_from_json(changed)


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (DONE, 0),
        (replace(DONE, outcome="nothing_new"), 0),
        (replace(DONE, warnings=("the log could not be written",)), 0),
        (replace(DONE, outcome="partly"), 3),
        (replace(DONE, stale={"AAPL": "late"}), 3),
        (replace(DONE, outcome="nothing_new", failures={"NOPE": "unknown"}), 3),
        (replace(FULL, outcome="failed"), 1),
    ],
)
def test_the_exit_code_says_how_it_ended(report, code):
    assert report.exit_code == report_to_json(report)["exit_code"] == code


def test_an_error_is_told_in_one_line():
    report = failed_report("us20", DONE.started, DONE.ended, DataError("no prices;\n  next: tickercast fetch"))
    assert report.error == "no prices; next: tickercast fetch"
    assert report.summary == "failed; no prices; next: tickercast fetch"
    many = replace(DONE, failures={f"S{i:02}": "no network" for i in range(500)})
    assert many.summary == "done; failed: S00, S01, S02, S03, S04, S05, S06, S07 and 492 more"
    assert FULL.summary == "partly done; 380 forecasts issued, 372 scored; failed: NOPE; stale: AAPL"


def test_the_page_tells_all_of_it_and_loads_nothing():
    page = Page(report_page(FULL))
    for part in (
        "Partly done: us20", "2018-12-21, 2018-12-24", "2018-12-24 19:00:00 UTC", "90 s", "rnn-2018-11-30-abc",
        "380 rows", "372 rows", "7,600 rows", FULL.decision, "1 symbol failed", FULL.failures["NOPE"],
        "1 symbol stale", FULL.stale["AAPL"], "40 bars, 20 symbols", "train, failed", "the log could not be written",
        "/data/exports/latest.csv", FULL.ledger_head,
    ):  # fmt: skip
        assert part in page.words, part
    assert page.having("src") == page.having("href") == page.scripts == []
    assert "default-src 'none'; script-src 'none';" in page.having("content")[0]
    assert len(report_page(FULL)) < 20_000


def test_nothing_in_a_page_is_read_as_html():
    texts = dict.fromkeys(("universe", "model_id", "decision", "ledger_head", "error"), HOSTILE)
    named = {name: {HOSTILE: HOSTILE} for name in ("failures", "stale")}
    listed = dict.fromkeys(("warnings", "files"), (HOSTILE,))
    step = StepRecord(HOSTILE, 1.0, {HOSTILE: 1}, HOSTILE)
    page = Page(report_page(replace(FULL, **texts, **named, **listed, steps=(step,))))
    assert page.scripts == []
    assert [tag for tag, _ in page.tags].count("style") == 1
    # the universe in title and heading; four texts; symbol and cause, twice; warning, file; name, count, detail
    assert "".join(page.text).count(HOSTILE) == 2 + 4 + 4 + 2 + 3


def test_the_last_report_and_the_dated_ones_are_kept(workspace, monkeypatch):
    monkeypatch.setattr(evening_report, "KEPT_REPORTS", 3)
    assert last_report(workspace) is None
    days = pd.date_range("2018-12-24 19:00", periods=5, tz="UTC").as_unit("us")
    for day in days:
        report = replace(FULL, started=day)
        assert save_report(workspace, report) == last_report_path(workspace)
        assert last_report(workspace) == report
    names = sorted(path.name for path in workspace.reports.iterdir())
    dated = [f"201812{day}T190000.{kind}" for day in (26, 27, 28) for kind in ("html", "json")]
    assert names == [*dated, "last-run.html", "last-run.json"]
    assert (workspace.reports / "last-run.html").read_text() == report_page(report)
    save_report(workspace, replace(report, started=utc("2018-12-30"), outcome="nothing_new"))
    assert last_report(workspace).outcome == "nothing_new"
    assert sorted(path.name for path in workspace.reports.iterdir()) == names


def test_a_damaged_report_is_named(workspace):
    write_json(last_report_path(workspace), {"format": 1})
    with pytest.raises(WorkspaceError, match=r"last-run\.json cannot be read"):
        last_report(workspace)
