import re

import numpy as np
import pandas as pd
import pytest
from cli_helpers import Tickercast
from helpers import synthetic_series, utc

from forecasting.cli import render
from forecasting.evaluation.audit.leakage import AuditReport, Check, Leak
from forecasting.evaluation.audit.stages import Difference
from forecasting.model import features


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with four years of two symbols, and their model."""
    folder = tmp_path_factory.mktemp("trained")
    for symbol in ("SYN1", "SYN2"):
        bars = synthetic_series(symbol, "2018-12-31", "2015-01-01").bars.drop(columns="volatility")
        bars.rename_axis("date").to_csv(folder / f"{symbol}.csv")
    place = Tickercast(folder / "place")
    assert place("fetch", "--files", str(folder), "--prices", "split").exit_code == 0
    assert place("train", "SYN1", "SYN2", "--epochs", "1", "--window", "60", "--horizon", "5").exit_code == 0
    return place


def test_the_models_of_a_workspace_have_no_leak_and_the_audit_writes_nothing(trained):
    before = trained.fingerprint()
    result = trained("audit", "SYN1")
    assert result.exit_code == 0
    assert re.match(r"Audit of model rnn-20181231-\w+ on SYN1\n", result.stdout)
    rows = re.findall(r"^ +(\d+) +(\d+) +[\d,]+ +(\w+) +(\S.*\S) *$", result.stdout, re.MULTILINE)
    assert rows == [
        ("1", "1", "none", "stored prices"),
        ("3", "9", "none", "forecasts of the model"),
        ("1", "3", "none", "a fresh fit, one epoch"),
        ("3", "9", "none", "a backtest fold and its baselines"),
    ]
    assert "no leak found in model rnn-20181231" in result.stdout
    assert trained.fingerprint() == before


def test_a_leak_ends_with_1_and_a_line_that_names_the_first_value_that_changed(trained, monkeypatch):
    def smoothed(moves):
        volume = pd.Series(np.exp(moves.log_volume))
        volume /= volume.rolling(9, center=True, min_periods=1).mean()
        return {"volume_today": volume, "volume_week": volume}

    monkeypatch.setitem(features.GROUPS, "volume", smoothed)
    result, values = trained.json("audit", "SYN1")
    assert result.exit_code == 1
    line = result.stderr.strip()
    assert re.match(
        r"tickercast: model rnn-\S+ leaks \(forecasts of the model\): features of SYN1 on 2018-\d\d-\d\d, "
        r"volume_today: [\d.]+ became [\d.]+ when every bar closing after 2018-\d\d-\d\d \d\d:00 UTC was replaced; "
        r"next: [^\n]+$",
        line,
    )
    assert values["summary"] in line
    stored, model, *_ = values["checks"]
    assert stored["leak"] is None
    found = model["leak"]
    assert (found["stage"], found["symbol"], found["what"]) == ("features", "SYN1", "volume_today")
    assert found["before"] != found["after"]
    assert found["future_of"] >= found["session"]


def test_the_table_names_the_stage_that_leaks_and_symbols_that_had_no_part(capsys):
    instant = utc("2018-12-28 21:00")
    leak = Leak(Difference("scales", "", None, "mean of input 1", 0.5, 0.25), instant, "removed")
    checks = (Check("stored prices", (instant,), 1, 1500, None), Check("a fresh fit", (instant,), 3, 2500, leak))
    render.show_audit(AuditReport("model x", ("AAA",), checks, {"BBB": "BBB has 3 bars"}))
    shown = capsys.readouterr().out
    assert re.search(r"1 +1 +1,500 +none +stored prices *\n +1 +3 +2,500 +scales +a fresh fit", shown)
    assert "left out: BBB: BBB has 3 bars" in shown
    assert "no leak" not in shown


def test_where_there_is_nothing_to_audit_it_says_what_to_do_and_creates_nothing(tickercast, filled):
    result = tickercast("audit")
    assert result.exit_code == 1
    assert "no model has been trained here yet; next: tickercast run" in result.stderr
    assert not tickercast.workspace.exists()
    assert re.search(r"no prices of GOOG .*next: tickercast fetch GOOG", filled("audit", "GOOG").stderr)
    assert filled("audit", "SYN1", "--universe", "us20").exit_code == 2
