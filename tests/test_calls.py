import numpy as np
import pandas as pd
import pytest
from helpers import utc
from ledger_helpers import Evenings

from forecasting.calls import count_pit, find_calls, read_call, read_levels, read_scored
from forecasting.charts import forecast_figure
from forecasting.workspace import Workspace

LEVELS = {"m1": (0.1, 0.5, 0.9), "m2": (0.25, 0.5, 0.75)}


def scores_of(gains, days, **same):
    frame = pd.DataFrame(
        {
            "model_id": "m1", "symbol": "AAA", "origin": pd.to_datetime(days), "horizon": 1,
            "target_session": pd.to_datetime(days) + pd.Timedelta(days=1), "outcome": 0.01, "crps": 0.02,
            "crps_random_walk": 0.02 + np.array(gains), "pit_bin": 2,
        }
    )  # fmt: skip
    return frame.assign(**same)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("calls"))


@pytest.fixture(scope="module")
def lived(place):
    evenings = Evenings(place)
    evenings.pass_by(0, 6)
    evenings.pass_by(6, 8, "m2")
    return evenings


def test_the_best_and_the_worst_are_told_with_the_quantiles_their_outcome_fell_between():
    days = ["2018-12-03", "2018-12-04", "2018-12-10", "2018-12-12", "2018-12-17"]
    scores = scores_of([0.003, 0.004, -0.002, 0.001, -0.005], days, pit_bin=[0, 1, 2, 3, 0])
    calls = find_calls(scores.assign(model_id=["m1", "m1", "m2", "m1", "m1"]), LEVELS, 2)
    assert calls["call"].tolist() == ["best", "best", "worst", "worst"]
    # the third of December overlaps with the fourth
    assert calls["origin"].dt.day.tolist() == [4, 12, 17, 10]
    np.testing.assert_allclose(calls["gain"], [0.004, 0.001, -0.005, -0.002])
    assert calls[["below", "above"]].to_numpy().tolist() == [[0.1, 0.5], [0.9, 1.0], [0.0, 0.1], [0.5, 0.75]]


def test_calls_without_a_random_walk_are_neither():
    scores = scores_of([0.001, np.nan], ["2018-12-03", "2018-12-10"])
    assert find_calls(scores, LEVELS)["origin"].tolist() == [pd.Timestamp("2018-12-03")]
    assert find_calls(scores.assign(crps_random_walk=np.nan), LEVELS).empty


def test_pit_bins_are_counted_on_the_levels_that_most_forecasts_are_on():
    models = ["m1"] * 4 + ["m2"] * 3
    pit = count_pit(pd.DataFrame({"model_id": models, "pit_bin": [0, 1, 1, 3, 0, 0, 0]}), LEVELS)
    assert pit["low"].tolist() == [0, 0.1, 0.5, 0.9]
    assert pit["rows"].tolist() == [1, 2, 0, 1]
    np.testing.assert_allclose(pit["density"], [2.5, 1.25, 0, 2.5])
    assert count_pit(pd.DataFrame({"model_id": [], "pit_bin": []}), {})["rows"].tolist() == [0]


def test_the_levels_of_models_are_those_in_the_ledger(lived):
    scores = lived.scores.read("first")
    levels = read_levels(lived.ledger, scores)
    rows = lived.ledger.read()
    assert levels == {m: tuple(rows[rows["model_id"] == m]["levels"].iloc[0]) for m in ("m1", "m2")}
    assert read_levels(lived.ledger, scores.iloc[:0]) == {}


def test_what_is_scored_is_listed_once(lived):
    scored = read_scored(lived.scores, "first", [1, 2])
    models = ["m1"] * 6 + ["m2"]  # no session follows on the eighth
    reached = [2] * 6 + [1]
    expected = [
        ("live", model, symbol, day, ahead)
        for symbol in ("AAA", "BBB")
        for model, day, ahead in zip(models, lived.days, reached, strict=False)
    ]
    assert set(scored.itertuples(index=False, name=None)) == set(expected)
    assert len(scored) == len(expected)


def test_scores_are_read_by_mode_and_origin(lived):
    everything = lived.scores.read("first")
    days = lived.days[2:5]
    part = lived.scores.read("first", first=days[0], last=days[-1])
    expected = everything[everything["origin"].isin(days)].reset_index(drop=True)
    pd.testing.assert_frame_equal(part, expected)
    assert set(part["origin"]) == set(days)
    assert lived.scores.read("first", mode="replay").empty
    pd.testing.assert_frame_equal(lived.scores.read("first", mode="live"), everything)


def test_a_call_is_what_was_issued_with_what_became_of_it(lived, place):
    origin = lived.days[3]
    call = read_call(place, "AAA", origin, "first")
    assert call.rows["horizon"].tolist() == [1, 2, 3]
    assert call.forecast.origin == origin
    assert call.series.sessions.tolist() == lived.days[:7].tolist()
    np.testing.assert_allclose(call.series.bars["close"], lived.closes.loc[lived.days[:7], "AAA"])
    figure = forecast_figure(call.series, call.forecast, show_outcome=True)
    (outcome,) = (trace for trace in figure.data if trace.name == "what happened")
    np.testing.assert_allclose(outcome.y, lived.closes.loc[lived.days[3:7], "AAA"])
    late = read_call(place, "AAA", lived.days[6], "first")
    assert late.rows["model_id"].unique().tolist() == ["m2"]
    assert late.scores["horizon"].tolist() == [1]
    assert read_call(place, "AAA", origin, "first", "m2") is None
    assert read_call(place, "AAA", pd.Timestamp("2001-01-01"), "first") is None


def test_a_later_split_moves_neither_the_fan_nor_its_outcome(workspace):
    evenings = Evenings(workspace, "AAA")
    evenings.pass_by(0, 4)
    origin, day = evenings.days[1], evenings.days[4]
    before = read_call(workspace, "AAA", origin, "now")
    event = evenings.split("AAA", day, 4.0)
    evenings.tell(evenings.bars(evenings.days[4:5]), evenings.now(day), event)
    evenings.update()
    after = read_call(workspace, "AAA", origin, "now")
    assert (len(before.scores), len(after.scores)) == (2, 3)
    pd.testing.assert_frame_equal(after.series.bars.iloc[:-1], before.series.bars)
    assert after.series.bars["close"].iloc[-1] == pytest.approx(4 * evenings.closes.loc[day, "AAA"])


def test_restated_prices_show_under_now_alone(workspace):
    evenings = Evenings(workspace, "AAA")
    evenings.pass_by(0, 3)
    bars = evenings.bars(evenings.days[1:2])
    evenings.tell(bars.assign(**{c: bars[c] * 1.1 for c in ("open", "high", "low", "close")}), utc("2019-01-01 12:00"))
    evenings.update()
    calls = {view: read_call(workspace, "AAA", evenings.days[0], view) for view in ("first", "now")}
    closes = {view: call.series.bars["close"].iloc[1] for view, call in calls.items()}
    assert closes["now"] == pytest.approx(1.1 * closes["first"])
