import shutil

import pandas as pd
import pytest
from app_helpers import FETCHED
from outlook_helpers import asked

from forecasting import Workspace, outlook_csv, read_outlooks
from forecasting.evening_report import EveningReport, save_report


@pytest.fixture(scope="module")
def mixed(filled, tmp_path_factory) -> Workspace:
    """Return a workspace of SYN1 (embedded), SYN2 (left out by the last evening), VOD.L (stale) and NOPE (unknown)."""
    workspace = Workspace(shutil.copytree(filled.root, tmp_path_factory.mktemp("mixed") / "copy"))
    asked(workspace, "NOPE", "unknown_symbol", "no <b>such</b> symbol", at=FETCHED)
    ended = FETCHED + pd.Timedelta(hours=1)
    save_report(workspace, EveningReport("us20", ended, ended, "partly", failures={"SYN2": "no answer"}))
    workspace.publish()
    return workspace


def words(app):
    return "\n".join(str(e.value) for kind in (app.title, app.markdown, app.caption, app.info, app.error) for e in kind)


def table(app) -> pd.DataFrame:
    return app.dataframe[0].value.set_index("open")


def test_an_empty_workspace_says_which_command_fills_it_and_stays_untouched(open_app, tmp_path):
    app = open_app(tmp_path / "none", "overview")
    assert not app.exception
    assert app.code[0].value == f"tickercast run --source sample --workspace {tmp_path / 'none'}"
    assert not app.dataframe
    assert not (tmp_path / "none").exists()


def test_every_symbol_has_a_row_with_what_is_known_of_it(open_app, mixed):
    app = open_app(mixed.root, "overview")
    assert not app.exception
    shown, read = table(app), read_outlooks(mixed, pd.Timestamp.now(tz="UTC").floor("h"))
    assert shown.index.tolist() == ["NOPE", "SYN1", "SYN2", "VOD.L"]
    assert shown["mark"].tolist() == ["✖ failed", "◇ ended", "✖ failed", "▲ stale"]
    assert shown["cause"].tolist() == read["cause"].tolist()
    assert shown["verdict"].tolist()[1:] == ["ties with", "ties with", "not tested"]
    for column in ("last_close", "change", "volatility_ratio", "median_1", "lower_5", "upper_20", "prob_up_20"):
        assert shown[column].tolist() == pytest.approx(read[column].tolist(), nan_ok=True)
    assert len(shown.loc["SYN1", "closes"]) == 60
    assert "4 symbols, prices up to Mon 2018-12-31; 2 failed, 1 stale, 1 ended." in words(app)
    assert "Last evening, ended 2026-01-05 13:00 UTC: partly done; failed: SYN2" in words(app)


def test_filters_come_from_the_url(open_app, mixed):
    app = open_app(mixed.root, "overview", symbols="syn", show="wrong.nonsense", ahead="5", columns="all")
    assert not app.exception
    shown = table(app)
    assert shown.index.tolist() == ["SYN2"]
    assert shown.columns.tolist()[:2] == ["mark", "cause"]
    assert "median_5" in shown
    assert "median_1" not in shown
    assert {"verdict_cause", "model_id", "flags"} <= set(shown)


def test_filters_go_into_the_url_and_out_of_it_again(open_app, mixed):
    app = open_app(mixed.root, "overview")
    app.text_input[0].set_value("VOD").run()
    app.button_group[0].set_value(["wrong", "untested"]).run()
    assert app.query_params == {"symbols": "VOD", "show": "wrong.untested"}
    assert table(app).index.tolist() == ["VOD.L"]
    app.text_input[0].set_value("").run()
    app.button_group[0].set_value([]).run()
    assert app.query_params == {}
    assert len(table(app)) == 4


def test_a_filter_that_nothing_passes_is_told(open_app, mixed):
    app = open_app(mixed.root, "overview", symbols="<script>")
    assert not app.exception
    assert not app.dataframe
    assert "No symbol is as asked for" in app.info[0].value


def test_a_click_on_a_symbol_opens_its_forecast(open_app, mixed):
    app = open_app(mixed.root, "overview")
    app.session_state["opened"] = {"row": 2, "label": "SYN2"}
    app.run()
    assert not app.exception
    assert app.title[0].value == "Forecast"
    assert app.selectbox[0].value == "SYN2"


def test_who_cannot_click_into_the_table_opens_a_forecast_below_it(open_app, mixed):
    app = open_app(mixed.root, "overview", symbols="SYN")
    picker = app.selectbox(key="open")
    assert picker.options == ["SYN1", "SYN2"]
    picker.select("SYN2").run()
    assert not app.exception
    assert app.title[0].value == "Forecast"
    assert app.selectbox(key="symbol").value == "SYN2"


def test_what_was_not_offered_cannot_be_clicked(open_app, mixed):
    app = open_app(mixed.root, "overview")
    app.session_state["opened"] = {"row": 0, "label": "../x"}
    app.run()
    assert not app.exception
    assert app.title[0].value == "Overview"


def test_the_shown_symbols_download_as_csv(open_app, mixed, monkeypatch):
    offered = {}
    monkeypatch.setattr("streamlit.download_button", lambda label, data, name, *_, **__: offered.update({name: data()}))
    open_app(mixed.root, "overview", symbols="SYN1")
    read = read_outlooks(mixed, pd.Timestamp.now(tz="UTC").floor("h"))
    assert offered == {"overview.csv": outlook_csv(read.loc[["SYN1"]])}


def test_a_damaged_ledger_is_told_in_plain_words_and_a_damaged_evening_is_passed_over(open_app, mixed, tmp_path):
    workspace = Workspace(shutil.copytree(mixed.root, tmp_path / "copy"))
    (workspace.reports / "last-run.json").write_text("{")
    workspace.publish()
    app = open_app(workspace.root, "overview")
    assert not app.exception
    assert not app.error
    assert "Last evening" not in words(app)
    for file in workspace.ledger.glob("*.parquet"):
        file.write_bytes(b"no parquet")
    workspace.publish()
    app = open_app(workspace.root, "overview")
    assert not app.exception
    assert "cannot be read" in app.error[0].value
    assert "next:" in app.error[0].value


def test_who_types_the_name_of_the_first_page_comes_to_it(open_app, mixed):
    app = open_app(mixed.root, "overview", symbols="SYN1").switch_page("views/overview.py").run()
    assert not app.exception
    assert app.title[0].value == "Overview"
    assert table(app).index.tolist() == ["SYN1"]


def test_the_url_asking_for_what_is_not_there_is_told(open_app, mixed):
    app = open_app(mixed.root, "overview", ahead="<b>77")
    assert "is not offered here; All three is shown instead" in app.warning[0].value
