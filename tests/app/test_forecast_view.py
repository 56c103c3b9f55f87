import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import streamlit
from app_helpers import FETCHED, NEW_YEAR, PENCE, normal_forecast

from forecasting import (
    EveningReport,
    Instrument,
    Ledger,
    PriceStore,
    Registry,
    Workspace,
    cancel_job,
    csv_text,
    job_at_work,
    load_report,
    long_table,
    make_universe,
    normalize_bars,
    wide_table,
)
from forecasting.evening_report import save_report
from forecasting.events import no_events
from forecasting.forecasts import FLAGS
from forecasting.sessions import target_sessions


@pytest.fixture
def copy(filled, tmp_path):
    """Return a copy of the filled workspace that a test may change."""
    return Workspace(shutil.copytree(filled.root, tmp_path / "copy"))


def promote(workspace):
    """Make the model of SYN1 and SYN2 their champion; return its ID."""
    model_id = Ledger(workspace.ledger).latest(["SYN1"])["model_id"].iloc[0]
    Registry(workspace.models).promote(make_universe(["SYN1", "SYN2"]), model_id, FETCHED, "first model")
    workspace.publish()
    return model_id


def words(app):
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def figure(app):
    return json.loads(app.get("plotly_chart")[0].proto.spec)


def trace(app, name):
    return next(t for t in figure(app)["data"] if t["name"] == name)


def test_an_empty_workspace_says_which_command_fills_it_and_stays_untouched(open_app, tmp_path):
    app = open_app(tmp_path / "none")
    assert not app.exception
    assert app.code[0].value == f"tickercast run --source sample --workspace {tmp_path / 'none'}"
    assert not app.get("plotly_chart")
    assert not (tmp_path / "none").exists()


def test_a_workspace_that_cannot_be_read_is_told_in_plain_words(open_app, tmp_path):
    (tmp_path / "workspace.json").write_text('{"format": 99, "revision": 1}')
    app = open_app(tmp_path)
    assert not app.exception
    assert "format 99" in app.error[0].value
    assert "next:" in app.error[0].value


def test_the_first_symbol_is_shown_with_its_key_numbers(open_app, filled):
    app = open_app(filled.root)
    assert not app.exception
    assert not app.warning
    assert app.selectbox[0].value == "SYN1"
    assert app.selectbox[0].options == ["SYN1", "SYN2", "VOD.L"]
    row = Ledger(filled.ledger).latest(["SYN1"]).iloc[0]
    seen = words(app)
    assert f"{row['last_close']:,.2f} USD" in seen
    assert "Last close  \nMon 2018-12-31" in seen
    assert "Median 1 session ahead  \nWed 2019-01-02" in seen
    assert "Median 5 sessions ahead  \nTue 2019-01-08" in seen
    assert "Median 20 sessions ahead  \nWed 2019-01-30" in seen
    low, high = (row["last_close"] * np.exp(0.01 * z) for z in (-1.2815515655, 1.2815515655))
    assert f"80% range {low:,.2f} to {high:,.2f}" in seen
    assert "Chance of a rise 50%" in seen
    assert "investment advice" in seen


def test_the_symbol_and_the_history_come_from_the_url(open_app, filled):
    app = open_app(filled.root, symbol="SYN2", history="21")
    assert app.selectbox[0].value == "SYN2"
    assert len(trace(app, "close")["x"]) == 21


def test_a_choice_is_written_to_the_url(open_app, filled):
    app = open_app(filled.root)
    app.selectbox[0].set_value("VOD.L").run()
    assert app.query_params["symbol"] == "VOD.L"
    assert figure(app)["layout"]["yaxis"]["title"]["text"] == "Price (GBp)"
    assert "Closing prices of VOD.L in GBp (pence, 1/100 GBP), adjusted for splits" in words(app)


def test_a_symbol_that_is_not_there_can_be_fetched_and_forecast(open_app, copy):
    model_id = promote(copy)
    app = open_app(copy.root, symbol="NOPE")
    assert not app.exception
    assert not app.get("plotly_chart")
    assert app.selectbox[0].value == "NOPE"
    assert app.info[0].value == "`NOPE` is not in this workspace yet."
    assert f"from `yahoo`, its forecast from the champion `{model_id}`, which was trained on others" in words(app)
    assert app.code[0].value == f"tickercast forecast NOPE --fetch --workspace {copy.root}"
    assert job_at_work(copy) is None  # a link alone starts nothing
    app.button(key="fetch_forecast").click().run()
    try:
        assert job_at_work(copy).command == ("forecast", "NOPE", "--fetch")
        assert "It is being fetched and forecast" in words(app)
        assert app.button(key="fetch_forecast").disabled
    finally:
        cancel_job(copy)
    app.selectbox[0].set_value("SYN2").run()
    assert len(app.get("plotly_chart")) == 1


def test_a_visitor_who_may_not_operate_is_told_the_command_and_gets_no_button(open_app, copy, monkeypatch):
    promote(copy)
    open_app(copy.root)
    monkeypatch.setattr(sys.modules["access"], "may_operate", lambda: False)
    app = open_app(copy.root, symbol="NOPE")
    assert not app.button
    assert app.code[0].value == f"tickercast forecast NOPE --fetch --workspace {copy.root}"


def test_without_a_model_a_symbol_cannot_be_forecast_and_the_command_that_trains_one_is_named(open_app, filled):
    app = open_app(filled.root, symbol="NOPE")
    assert "No model serves here yet" in words(app)
    assert app.code[0].value == f"tickercast run NOPE --workspace {filled.root}"
    assert not app.button


def test_what_is_no_symbol_is_refused_with_the_rule_and_another_is_shown(open_app, filled):
    app = open_app(filled.root, symbol="<b>[x](y)")
    assert not app.exception
    said = app.warning[0].value
    assert said.startswith("symbol '\\<B\\>\\[X\\](Y)': a symbol is 1 to 20 of")
    assert said.endswith("SYN1 is shown instead.")
    assert app.selectbox[0].value == "SYN1"
    assert len(app.get("plotly_chart")) == 1
    app.selectbox[0].set_value("SYN2").run()
    assert not app.warning


def test_a_symbol_typed_in_small_letters_is_the_same_symbol(open_app, filled):
    app = open_app(filled.root, symbol=" syn2")
    assert app.query_params["symbol"] == "SYN2"
    assert app.selectbox[0].value == "SYN2"
    assert len(app.get("plotly_chart")) == 1


def add_prices(workspace, symbol, source):
    """Store the bars of SYN1 under another symbol; return its instrument."""
    store, instrument = PriceStore(workspace.prices), Instrument.from_symbol(symbol, source)
    bars = normalize_bars(store.read(["SYN1"])["SYN1"].bars.reset_index().assign(symbol=symbol))
    store.append([instrument], bars, no_events(), store.quarantined().iloc[:0], NEW_YEAR)
    workspace.publish()
    return instrument


def test_symbols_with_prices_alone_can_be_picked_and_say_so(open_app, copy):
    add_prices(copy, "SYN3", "synthetic")
    app = open_app(copy.root, symbol="SYN3")
    assert app.selectbox[0].options == ["SYN1", "SYN2", "SYN3 (prices only)", "VOD.L"]
    assert app.info[0].value == "`SYN3` has prices in this workspace, and no forecast yet."
    assert not app.get("plotly_chart")


def test_the_shape_and_earlier_forecasts_come_from_the_url_and_go_there(open_app, copy):
    series = PriceStore(copy.prices).read(["SYN1"])["SYN1"]
    ledger = Ledger(copy.ledger)
    model_id = ledger.latest(["SYN1"])["model_id"].iloc[0]
    for day in series.sessions[[-31, -21, -11]]:
        made = normal_forecast(series.instrument, day, float(series.bars["close"][day]))
        ledger.issue([made], model_id, FETCHED, FETCHED)
    copy.publish()
    app = open_app(copy.root, symbol="SYN1")
    assert {t["type"] for t in figure(app)["data"]} == {"scatter"}
    app.segmented_control(key="shape").set_value("candles").run()
    app.segmented_control(key="past").set_value("5").run()
    assert {name: app.query_params[name] for name in ("shape", "past")} == {"shape": "candles", "past": "5"}
    again = open_app(copy.root, symbol="SYN1", shape="candles", past="5")
    drawn = [t["name"] for t in figure(again)["data"]]
    assert drawn.count("earlier forecasts") == 3
    assert "bar (filled: fell)" in drawn
    assert "earlier forecasts as they were issued" in words(again)
    assert "No forecast of it was issued a week before" in words(open_app(copy.root, symbol="SYN2", past="1"))


def test_a_chart_can_be_saved_as_an_image_on_the_pages_own_ground(open_app, filled):
    app = open_app(filled.root, symbol="SYN1")
    config = json.loads(app.get("plotly_chart")[0].proto.config)
    assert config["modeBarButtons"] == [["toImage"]]
    assert config["toImageButtonOptions"]["filename"].startswith("forecast-SYN1-2018-12-31-rnn-")
    assert not figure(app)["layout"]["paper_bgcolor"].startswith("rgba")
    assert figure(app)["layout"]["xaxis"]["title"]["text"] == "SYN1, forecast from Mon 2018-12-31"


def test_an_old_forecast_says_how_old_and_a_replay_of_a_closed_history_does_not(open_app, copy, monkeypatch):
    made = normal_forecast(add_prices(copy, "ACME", "yahoo"), pd.Timestamp("2018-12-31"), 100.0)
    Ledger(copy.ledger).issue([made], promote(copy), NEW_YEAR, FETCHED)
    copy.publish()
    open_app(copy.root)
    state = sys.modules["state"]
    monkeypatch.setattr(state, "now", lambda: pd.Timestamp("2019-01-03 18:00", tz="UTC"))
    app = open_app(copy.root, symbol="ACME")
    assert app.warning[0].value == (
        "**This forecast is old.** It was made from prices up to Mon 2018-12-31, and 1 session is complete since."
    )
    assert app.button(key="fetch_forecast").label == "Fetch and forecast"
    app = open_app(copy.root, symbol="VOD.L")
    assert "2 sessions are complete since. Next: `tickercast fetch --files`" in app.warning[0].value
    assert not app.button
    app = open_app(copy.root, symbol="SYN1")
    assert not app.warning
    assert "A replay as of Mon 2018-12-31, where the history of `synthetic` ends" in words(app)
    monkeypatch.setattr(state, "now", lambda: NEW_YEAR)
    assert not open_app(copy.root, symbol="VOD.L").warning


def test_replay_and_live_are_told_apart(open_app, filled):
    assert "**Replay**" in words(open_app(filled.root, symbol="SYN1"))
    live = words(open_app(filled.root, symbol="VOD.L"))
    assert "**Live**" in live
    assert "Issued as of 2019-01-01 12:00 UTC by model `rnn-2018" in live
    assert "Made from prices up to Mon 2018-12-31" in live


def test_the_verdict_is_the_reports_own_sentence_and_names_what_it_is_pooled_over(open_app, filled):
    app = open_app(filled.root, symbol="SYN1")
    report = load_report(next(filled.backtests.iterdir()))
    assert report.summary() in words(app)
    assert "Pooled over SYN1, SYN2" in words(app)
    scores = app.dataframe[0].value
    assert scores["horizon"].tolist() == [1, 2, 3, 5]
    assert {"crps", "skill", "low", "high", "p", "verdict", "strongest", "coverage_80"} <= set(scores)
    assert report.summary_of("SYN1") in words(app)


def test_a_model_without_a_backtest_says_so(open_app, filled):
    app = open_app(filled.root, symbol="VOD.L")
    assert "recipe has not been backtested on its universe" in words(app)
    assert len(app.dataframe) == 2  # the ranges and the quantiles; no scores


def test_the_table_and_the_fan_show_the_issued_quantiles(open_app, filled):
    app = open_app(filled.root, symbol="SYN1")
    rows = Ledger(filled.ledger).latest(["SYN1"]).sort_values("horizon")
    prices = rows["last_close"].iloc[0] * np.exp(np.stack(rows["values"].to_list()))
    ranges, table = app.dataframe[1].value, app.dataframe[2].value
    assert ranges["horizon"].tolist() == list(range(1, 21))
    np.testing.assert_allclose(ranges["median"], prices[:, 5], rtol=1e-12)
    for name, low, high in (("range_50", 4, 6), ("range_80", 3, 7), ("range_90", 2, 8), ("range_95", 1, 9)):
        assert ranges[name].iloc[-1] == f"{prices[-1, low]:,.2f} – {prices[-1, high]:,.2f}"  # noqa: RUF001
    np.testing.assert_allclose(table["0.1"], prices[:, 3], rtol=1e-12)
    np.testing.assert_allclose(trace(app, "median forecast")["y"][1:], prices[:, 5], rtol=1e-12)


def test_what_a_forecast_says_of_itself_is_told_marked_and_in_the_table(open_app, filled, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    ledger = Ledger(workspace.ledger)
    *_, model_id = ledger.read()["model_id"].drop_duplicates()
    series = PriceStore(workspace.prices).read(["SYN1"])["SYN1"]
    plain = normal_forecast(series.instrument, series.sessions[-1], float(series.bars["close"].iloc[-1]))
    widening = np.where(np.arange(20) >= 15, 0.2, 0.05)
    forecast = replace(plain, report_widening=widening, has_market=False)
    ledger.issue([forecast], model_id, FETCHED, FETCHED, flags={"SYN1": ["stale"]})
    workspace.publish()
    app = open_app(workspace.root, symbol="SYN1")
    assert [info.value for info in app.info] == [
        "From 2019-01-24 on: wider, because a quarterly report is likely up to there, by up to 20%.",
        *(f"{FLAGS[name][0].upper()}{FLAGS[name][1:]}." for name in ("no_market", "stale")),
    ]
    assert trace(app, "wider for a report")["x"] == [f"{day:%Y-%m-%d}" for day in forecast.target_sessions[15:]]
    assert "Circles: the ranges are wider" in words(app)
    assert app.dataframe[-1].value["report_widening"].tolist() == widening.tolist()
    other = open_app(workspace.root, symbol="SYN2")
    assert not other.info
    assert "report_widening" not in other.dataframe[-1].value
    assert "Circles" not in words(other)


def test_what_the_last_evening_said_is_wrong_with_a_symbol_stands_above_its_forecast(open_app, filled, tmp_path):
    workspace = Workspace(shutil.copytree(filled.root, tmp_path / "copy"))
    ended = pd.Timestamp("2019-01-03 22:05", tz="UTC")
    stale = {"SYN1": "SYN1 was last seen on 2018-12-31, 2019-01-03 is complete"}
    save_report(workspace, EveningReport("us20", ended, ended, "partly", stale=stale, failures={"SYN1": "no answer"}))
    workspace.publish()
    assert [warning.value for warning in open_app(workspace.root, symbol="SYN1").warning] == [
        "Prices are stale, as of 2019-01-03 22\\:05 UTC: SYN1 was last seen on 2018-12-31, 2019-01-03 is complete",
        "Not fetched, as of 2019-01-03 22\\:05 UTC: no answer",
    ]
    assert not open_app(workspace.root, symbol="SYN2").warning
    (workspace.reports / "last-run.json").write_text("{")
    workspace.publish()
    assert not open_app(workspace.root, symbol="SYN1").exception


def test_the_forecast_can_be_downloaded_wide_and_long(open_app, filled, monkeypatch):
    offered = {}
    real = streamlit.download_button

    def record(label, data, name, *args, **kwargs):
        offered[name] = data()
        return real(label, data, name, *args, **kwargs)

    monkeypatch.setattr(streamlit, "download_button", record)
    open_app(filled.root, symbol="SYN1")
    rows = Ledger(filled.ledger).latest(["SYN1"])
    stem = f"forecast-SYN1-2018-12-31-{rows['model_id'].iloc[0]}"
    assert offered == {f"{stem}-wide.csv": csv_text(wide_table(rows)), f"{stem}.csv": csv_text(long_table(rows))}


def test_a_later_split_does_not_move_the_history_a_forecast_was_issued_with(open_app, copy):
    split = pd.DataFrame(
        {
            "symbol": [PENCE.symbol],
            "session": pd.DatetimeIndex(["2019-01-03"]).as_unit("us"),
            "kind": ["split"],
            "value": [4.0],
        }
    )
    store = PriceStore(copy.prices)
    before = store.read([PENCE.symbol])[PENCE.symbol].bars["close"].iloc[-1]
    bars = store.read([PENCE.symbol])[PENCE.symbol].bars.iloc[:0].reset_index().assign(symbol=PENCE.symbol)
    store.append([PENCE], bars, split, store.quarantined().iloc[:0], FETCHED + pd.Timedelta(days=7))
    copy.publish()
    assert store.read([PENCE.symbol])[PENCE.symbol].bars["close"].iloc[-1] == pytest.approx(before / 4)
    app = open_app(copy.root, symbol=PENCE.symbol)
    assert trace(app, "close")["y"][-1] == pytest.approx(before)
    assert trace(app, "median forecast")["y"][0] == pytest.approx(before)


def test_a_new_revision_is_seen_at_the_next_run_and_an_unpublished_change_is_not(open_app, copy):
    app = open_app(copy.root)
    earlier, newer = Ledger(copy.ledger).read()["model_id"].drop_duplicates()
    assert f"`{earlier}`" in words(app)
    series = PriceStore(copy.prices).read(["SYN1"])["SYN1"]
    forecast = normal_forecast(series.instrument, series.sessions[-1], float(series.bars["close"].iloc[-1]))
    now = pd.Timestamp("2026-02-01", tz="UTC")
    Ledger(copy.ledger).issue([forecast], newer, now, now)
    assert f"`{earlier}`" in words(app.run())
    Workspace(copy.root).publish()
    assert f"`{newer}`" in words(app.run())


def test_dates_beyond_the_published_holidays_are_said_to_be_estimated(open_app, copy):
    days = target_sessions("XBOM", pd.Timestamp("2026-09-01"), 90)[0]
    days = days[days <= "2026-12-30"]
    bars = pd.DataFrame({"symbol": "INFY.NS", "session": days, "volume": 1.0})
    bars = normalize_bars(bars.assign(**dict.fromkeys(("open", "high", "low", "close"), 1500.0)))
    instrument = Instrument("INFY.NS", "yahoo", "XBOM", "INR", "Asia/Kolkata")
    store, now = PriceStore(copy.prices), pd.Timestamp("2026-12-30 12:00", tz="UTC")
    store.append([instrument], bars, no_events(), store.quarantined().iloc[:0], now)
    ledger = Ledger(copy.ledger)
    ledger.issue([normal_forecast(instrument, days[-1], 1500.0)], ledger.read()["model_id"].iloc[0], now, now)
    copy.publish()
    said = words(open_app(copy.root, symbol="INFY.NS"))
    assert "(estimated)" in said
    assert "Diamonds: the exchange has not published its holidays that far" in said
    assert "(estimated)" not in words(open_app(copy.root, symbol="VOD.L"))


def test_a_symbol_outside_the_models_universe_gets_the_pooled_verdict_and_is_told_so(open_app, copy):
    pooled = Ledger(copy.ledger).latest(["SYN1"])["model_id"].iloc[0]
    forecast = normal_forecast(PENCE, pd.Timestamp("2018-12-31"), 100.0)
    Ledger(copy.ledger).issue([forecast], pooled, NEW_YEAR, NEW_YEAR)
    copy.publish()
    said = words(open_app(copy.root, symbol="VOD.L"))
    assert "VOD.L has no backtest of its own: the verdict is pooled over 2 others." in said
    assert "The model learned from 2 symbols, VOD.L not among them, up to 20" in said
    assert "The model learned from 2 symbols, up to 20" in words(open_app(copy.root, symbol="SYN1"))


def test_a_damaged_model_hides_the_verdict_but_not_what_was_issued(open_app, copy):
    model_id = Ledger(copy.ledger).latest(["SYN1"])["model_id"].iloc[0]
    (copy.models / model_id / "bundle.json").write_text("{")
    app = open_app(copy.root, symbol="SYN1")
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 1
    assert "recipe has not been backtested" in words(app)
