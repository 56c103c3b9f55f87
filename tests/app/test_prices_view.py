import importlib
import json
import shutil
import time

import pandas as pd
import pytest
from app_helpers import FETCHED

from forecasting import PriceStore, Workspace, check_quality, last_ending
from forecasting.events import no_events


def words(app):
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def press(app, label):
    return next(button for button in app.button if button.label == label).click().run()


@pytest.fixture(scope="module")
def troubled(filled, tmp_path_factory):
    """The filled workspace, where SYN2 has gaps, a quarantined row and a failed fetch; a test must not change it."""
    workspace = Workspace(shutil.copytree(filled.root, tmp_path_factory.mktemp("troubled") / "workspace"))
    store = PriceStore(workspace.prices)
    bars = store.read(["SYN2"])["SYN2"].bars[["open", "high", "low", "close", "volume"]].reset_index()
    bars = bars.assign(symbol="SYN2")
    nothing = bars.iloc[:0]
    last = bars["session"].iloc[-1]
    fetches = pd.DataFrame(
        [("SYN2", last, last, "timeout", "no answer *within* 30 s", 0), ("GONE", last, last, "unknown_symbol", "?", 0)],
        columns=["symbol", "first", "last", "outcome", "cause", "bars"],
    )
    withdrawn = bars.drop(index=[100, 101, 500])
    held = bars.iloc[[500]].assign(rule="high_low")
    instruments = store.instruments()
    store.append([instruments["SYN2"]], withdrawn, no_events(), held, FETCHED, whole=["SYN2"], fetches=fetches)
    store.append([], nothing, no_events(), nothing.assign(rule=""), FETCHED)
    workspace.publish()
    return workspace


def test_an_empty_workspace_says_how_prices_come_in_and_stays_untouched(open_app, tmp_path):
    app = open_app(tmp_path / "none", page="prices")
    assert not app.exception
    assert app.info[0].value.startswith("No price has been stored in the workspace")
    assert app.code[0].value.startswith("tickercast run --source sample")
    assert [field.label for field in app.text_input] == ["New symbols"]
    assert not (tmp_path / "none").exists()


def test_every_symbol_has_a_row_and_the_chosen_one_its_figures(open_app, filled):
    app = open_app(filled.root, page="prices", symbol="VOD.L")
    assert not app.exception
    assert not app.error
    table = app.dataframe[0].value
    assert table["symbol"].tolist() == ["SYN1", "SYN2", "VOD.L"]
    assert table["gaps"].tolist()[:2] == [0, 0]
    assert app.selectbox[0].value == "VOD.L"
    assert len(app.get("plotly_chart")) == 2
    assert "Closes in GBp (pence, 1/100 GBP), adjusted for splits" in words(app)
    assert "These prices came from files" in words(app)


def test_troubles_are_shown_with_their_cause_and_can_be_kept_apart(open_app, troubled):
    app = open_app(troubled.root, page="prices", symbol="SYN2", show="troubled")
    assert not app.exception
    table = app.dataframe[0].value.set_index("symbol")
    assert {"GONE", "SYN2"} <= set(table.index)
    assert "SYN1" not in table.index
    assert table.loc["SYN2", ["gaps", "quarantined", "restatements"]].tolist() == [2, 1, 1]
    assert "failed (timeout): no answer \\*within\\* 30 s" in app.error[0].value
    findings = app.dataframe[1].value
    assert findings["rule"].tolist() == check_quality(PriceStore(troubled.prices), ["SYN2"])["rule"].tolist()
    assert {"gap", "high_low"} <= set(findings["rule"])
    assert "What did the source change?" in words(app)
    cells = json.loads(app.get("plotly_chart")[0].proto.spec)["data"][0]
    assert set(cells["text"]) == {"", "2"}  # the quarantined row's session has an earlier bar


def test_a_symbol_that_never_came_and_one_that_is_not_stored_are_told_apart(open_app, troubled):
    app = open_app(troubled.root, page="prices", symbol="GONE")
    assert "failed (unknown_symbol)" in app.error[0].value
    assert "No bar of GONE is stored" in words(app)
    app = open_app(troubled.root, page="prices", symbol="../models")
    assert not app.exception
    assert "Symbol: ../models is not offered here; GONE is shown instead" in app.warning[0].value


def test_the_history_and_the_filter_are_in_the_url(open_app, filled):
    app = open_app(filled.root, page="prices", symbol="SYN1", history="252")
    closes = json.loads(app.get("plotly_chart")[1].proto.spec)["data"][0]
    assert len(closes["x"]) == 252
    app = open_app(filled.root, page="prices", symbol="SYN1", history="1000000000", show="<b>")
    assert not app.exception
    app.selectbox[0].set_value("SYN2").run()
    assert app.query_params["symbol"] == "SYN2"


def test_findings_of_all_symbols_are_checked_when_asked_for(open_app, filled):
    app = press(open_app(filled.root, page="prices"), "Check all prices")
    assert not app.exception
    assert "Findings of all symbols as CSV" in [button.proto.label for button in app.get("download_button")]


def test_new_symbols_are_fetched_in_a_process_of_their_own_and_failures_named(open_app, tmp_path):
    workspace = Workspace(tmp_path / "new")
    app = open_app(workspace.root, page="prices")
    app.text_input[0].set_value("syn1, other")
    next(box for box in app.selectbox if box.label == "Source").set_value("synthetic")
    press(app, "Fetch")
    end = time.monotonic() + 60
    while not (ending := last_ending(workspace)):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (ending.state, list(ending.failures)) == ("partly", ["OTHER"])
    app = open_app(workspace.root, page="prices", symbol="OTHER")
    assert not app.exception
    assert "OTHER" in app.warning[0].value
    assert app.dataframe[0].value["symbol"].tolist() == ["OTHER", "SYN1"]


@pytest.mark.parametrize("typed", ["--full", "A B/../C", ""])
def test_what_is_no_symbol_is_refused_before_anything_starts(open_app, filled, typed):
    app = open_app(filled.root, page="prices")
    app.text_input[0].set_value(typed)
    press(app, "Fetch")
    assert "symbol" in app.error[0].value
    assert not filled.background.exists()


def test_readers_are_offered_nothing_and_refused_when_they_press_all_the_same(open_app, filled, monkeypatch):
    app = open_app(filled.root, page="prices", symbol="SYN1")
    access = importlib.import_module("access")
    asked = access.refused

    def lose_the_right():
        monkeypatch.setattr(access, "may_operate", lambda: False)
        return asked()

    monkeypatch.setattr(access, "refused", lose_the_right)
    press(app, "Fetch SYN1 now")
    assert "read-only" in words(app)
    assert not filled.background.exists()
    app = open_app(filled.root, page="prices", symbol="SYN1")
    assert not [button for button in app.button if "Fetch" in button.label]
    assert not app.text_input


def test_a_damaged_store_is_told_in_plain_words(open_app, filled, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "damaged"))
    (workspace.prices / "instruments.json").write_text("{")
    app = open_app(workspace.root, page="prices")
    assert not app.exception
    assert "instruments.json cannot be read" in app.error[0].value
