import json
import shutil

import numpy as np
import pandas as pd
import pytest
from app_helpers import FETCHED
from helpers import normal_forecast
from ledger_helpers import Evenings

from forecasting import Scores, Workspace, make_track_record, rolling_coverage

PAGE = "track_record"


def forecasts_of(evenings, day, sigma):
    closes = evenings.closes.loc[day]
    return {s: normal_forecast(s, str(day.date()), 3, sigma, last_close=float(closes[s])) for s in evenings.symbols}


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """Return a workspace with the scores of 24 replayed evenings by m1 and of live ones by m2."""
    workspace = Workspace(tmp_path_factory.mktemp("recorded"))
    evenings = Evenings(workspace)
    known = evenings.now(evenings.days[25])
    evenings.tell(evenings.bars(evenings.days[:26]), known)
    for day in evenings.days[:24]:
        forecasts, walks = (forecasts_of(evenings, day, sigma) for sigma in (0.01, 0.02))
        evenings.ledger.issue(forecasts.values(), "m1", known, known, walks, as_replay=True)
    evenings.pass_by(26, 30, "m2")
    workspace.publish()
    return workspace


def words(app):
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.info, app.warning, app.error, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def figures(app):
    return {chart.proto.id.split("-", 2)[-1]: json.loads(chart.proto.spec) for chart in app.get("plotly_chart")}


def trace(figure, name):
    return next(t for t in figure["data"] if t["name"] == name)


def control(app, key):
    return next(w for kind in (app.selectbox, app.button_group, app.date_input) for w in kind if w.key == key)


def test_an_empty_workspace_says_which_command_fills_it(open_app, tmp_path):
    app = open_app(tmp_path / "none", PAGE)
    assert not app.exception
    assert app.code[0].value.startswith("tickercast run --source sample")
    assert not (tmp_path / "none").exists()


def test_without_a_score_yet_the_commands_and_their_buttons_are_offered(open_app, filled):
    app = open_app(filled.root, PAGE)
    assert not app.exception
    assert "60 forecasts have been issued, and none has been scored yet" in words(app)
    where = f" --workspace {filled.root}"
    commands = [f"tickercast score{where}", f"tickercast replay --from 2018-01-02{where}"]
    assert [code.value for code in app.code] == commands
    assert {"score_now", "replay_year"} <= {button.key for button in app.button}


def test_live_comes_first_and_is_never_mixed_with_replay(open_app, recorded):
    live = open_app(recorded.root, PAGE)
    assert not live.exception
    assert control(live, "mode").options == ["Live", "Replay"]
    assert control(live, "mode").value == "live"
    assert "issued before the target session opened" in words(live)
    assert "No interval before 20 origins" in words(live)
    assert "A rolling coverage begins after 20 origins." in [info.value for info in live.info]
    assert set(live.dataframe[0].value["model_id"]) == {"all", "m2"}
    replay = open_app(recorded.root, PAGE, mode="replay")
    assert set(replay.dataframe[0].value["model_id"]) == {"all", "m1"}
    assert "No part of the live record" in words(replay)


def test_the_numbers_are_those_of_the_engine(open_app, recorded):
    app = open_app(recorded.root, PAGE, mode="replay", horizon="2")
    scores = Scores(recorded.scores).read("first", mode="replay", horizons=[1, 2, 3])
    record = make_track_record(scores, [1, 2, 3])
    shown = app.dataframe[0].value
    for column in ("horizon", "forecasts", "sessions", "skill", "low", "p", "coverage_80", "high_80"):
        np.testing.assert_array_equal(shown[column], record[column])
    row = record.set_index(["model_id", "horizon"]).loc[("all", 2)]
    seen = words(app)
    assert f"### {row['skill']:+.1%}" in seen
    assert f"90% interval {row['low']:+.1%} to {row['high']:+.1%}" in seen
    assert f"### {row['coverage_80']:.1%}" in seen
    rolling = rolling_coverage(scores[scores["horizon"] == 2], 0.8)
    assert trace(figures(app)["rolling"], "inside the 80% range")["y"] == rolling["covered"].tolist()
    assert len(figures(app)["skill"]["data"]) == 3
    assert sum(json.loads(t.split("<br>")[1].split()[0]) for t in figures(app)["pit"]["data"][0]["hovertext"]) == 48


def test_symbol_model_and_dates_choose_what_counts_and_stand_in_the_url(open_app, recorded):
    days = sorted(Scores(recorded.scores).read("first", mode="replay")["origin"].unique())
    app = open_app(recorded.root, PAGE, mode="replay")
    control(app, "symbol").set_value("AAA").run()
    control(app, "first").set_value(days[4].date()).run()
    assert app.query_params["symbol"] == "AAA"
    assert app.query_params["first"] == f"{days[4]:%Y-%m-%d}"
    again = open_app(recorded.root, PAGE, mode="replay", symbol="AAA", first=f"{days[4]:%Y-%m-%d}")
    for one in (app, again):
        shown = one.dataframe[0].value
        assert set(shown["forecasts"]) == {20}
        assert f"From 20 origins,  \n{days[4]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}" in words(one)
        assert set(one.dataframe[1].value["symbol"]) == {"AAA"}


def test_what_the_url_asks_for_and_is_not_offered_is_not_taken(open_app, recorded):
    bad = {"mode": "../..", "symbol": "<b>", "model": "m9", "first": "1066-01-01", "horizon": "99", "day": "x"}
    app = open_app(recorded.root, PAGE, **bad)
    assert not app.exception
    assert control(app, "mode").value == "live"
    assert control(app, "symbol").value == ""


def test_a_chosen_day_shows_its_fan_with_the_outcome_over_it(open_app, recorded):
    scores = Scores(recorded.scores).read("first", ["BBB"], mode="replay")
    days = sorted(scores["origin"].unique())
    app = open_app(recorded.root, PAGE, mode="replay", of="BBB", day=f"{days[5]:%Y-%m-%d}")
    fan = figures(app)["day_fan"]
    outcome = trace(fan, "what happened")
    own = scores[scores["origin"] == days[5]].sort_values("horizon")
    np.testing.assert_allclose(np.log(np.array(outcome["y"][1:]) / outcome["y"][0]), own["outcome"])
    assert outcome["x"] == [f"{d:%Y-%m-%d}" for d in (days[5], *own["target_session"])]
    assert "by model `m1`" in words(app)
    next(b for b in app.button if b.key == "next").click().run()
    assert app.query_params["day"] == f"{days[6]:%Y-%m-%d}"
    next(b for b in app.button if b.key == "previous").click().run()
    next(b for b in app.button if b.key == "previous").click().run()
    assert app.query_params["day"] == f"{days[4]:%Y-%m-%d}"
    assert trace(figures(app)["day_fan"], "what happened")["x"][0] == f"{days[4]:%Y-%m-%d}"
    first = open_app(recorded.root, PAGE, mode="replay", of="BBB", day=f"{days[0]:%Y-%m-%d}")
    assert next(b for b in first.button if b.key == "previous").disabled


def test_a_call_opens_its_day(open_app, recorded):
    app = open_app(recorded.root, PAGE, mode="replay")
    calls = app.dataframe[1].value
    assert calls["call"].tolist() == ["best"] * 5 + ["worst"] * 5
    assert calls["gain_points"].iloc[0] == calls["gain_points"].max()
    assert calls["gain_points"].iloc[5] == calls["gain_points"].min()
    control(app, "open_call").set_value(6).run()
    assert app.query_params["of"] == calls["symbol"].iloc[5]
    assert app.query_params["day"] == f"{calls['origin'].iloc[5]:%Y-%m-%d}"
    assert trace(figures(app)["day_fan"], "what happened")["x"][0] == app.query_params["day"]


def test_damaged_prices_take_the_fan_away_and_leave_the_record(open_app, recorded, tmp_path):
    workspace = Workspace(shutil.copytree(recorded.root, tmp_path / "copy"))
    for file in (workspace.prices / "bars_1d").rglob("*.parquet"):
        file.write_bytes(b"")
    app = open_app(workspace.root, PAGE, mode="replay")
    assert not app.exception
    assert "cannot be read" in app.error[0].value
    assert set(figures(app)) == {"rolling", "skill", "pit"}


def test_scores_that_cannot_be_read_are_told_in_plain_words(open_app, recorded, tmp_path):
    workspace = Workspace(shutil.copytree(recorded.root, tmp_path / "copy"))
    for file in workspace.scores.rglob("*.parquet"):
        file.write_bytes(b"")
    app = open_app(workspace.root, PAGE)
    assert not app.exception
    assert "cannot be read" in app.error[0].value


def test_forecasts_without_a_random_walk_have_coverage_and_no_calls(open_app, tmp_path):
    workspace = Workspace(tmp_path)
    evenings = Evenings(workspace, "AAA")
    evenings.tell(evenings.bars(evenings.days[:6]), FETCHED)
    for day in evenings.days[:4]:
        evenings.ledger.issue(forecasts_of(evenings, day, 0.01).values(), "m1", FETCHED, FETCHED, as_replay=True)
    evenings.update()
    workspace.publish()
    app = open_app(tmp_path, PAGE)
    assert not app.exception
    assert "No random walk was issued with these forecasts to hold them against." in [i.value for i in app.info]
    assert pd.isna(app.dataframe[0].value["skill"]).all()
