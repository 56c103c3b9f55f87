import numpy as np
import pandas as pd

from forecasting.track_charts import rolling_coverage_figure, skill_to_date_figure

DAYS = pd.to_datetime(["2018-12-27", "2018-12-28", "2018-12-31"])
ROLLING = pd.DataFrame(
    {"origin": DAYS, "sessions": 60, "covered": [0.8, 0.6, 0.95], "low": [0.7, 0.7, 0.7], "high": [0.9, 0.9, 0.9]}
)


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_coverage_is_drawn_over_its_band_and_marked_where_it_leaves_it():
    figure = rolling_coverage_figure(ROLLING, 0.8)
    drawn = traces(figure)
    assert list(drawn["inside the 80% range"].y) == [0.8, 0.6, 0.95]
    assert list(drawn["chance"].y) == [0.9, 0.9, 0.9, 0.7, 0.7, 0.7]
    assert list(drawn["beyond chance"].x) == ["2018-12-28", "2018-12-31"]
    assert [shape.y0 for shape in figure.layout.shapes] == [0.8]
    hover = drawn["inside the 80% range"].hovertext[1]
    assert hover == "<b>2018-12-28</b><br>60.0% of the last 60 sessions<br>chance: 70.0% to 90.0%"


def test_without_a_band_there_is_none_and_nothing_lies_beyond_it():
    figure = rolling_coverage_figure(ROLLING.assign(low=np.nan, high=np.nan), 0.8)
    assert set(traces(figure)) == {"inside the 80% range"}
    assert "chance" not in figure.data[0].hovertext[0]


def test_no_two_lines_of_skill_look_alike_and_the_chosen_one_stands_out():
    horizons = [1, 2, 3, 5, 10, 20]
    table = pd.concat([pd.DataFrame({"horizon": h, "origin": DAYS, "skill": [0.0, 0.01, 0.02 * h]}) for h in horizons])
    figure = skill_to_date_figure(table, 5)
    assert len({(t.line.color, t.line.dash) for t in figure.data}) == len(horizons)
    assert len({t.line.dash for t in figure.data}) == len(horizons)
    widths = {t.name: t.line.width for t in figure.data}
    assert widths["5 sessions ahead"] > max(w for name, w in widths.items() if name != "5 sessions ahead")
    assert list(traces(figure)["20 sessions ahead"].y) == [0.0, 0.01, 0.4]
    assert figure.data[0].hovertext[1] == "<b>2018-12-28</b><br>1 session ahead<br>skill so far +1.0%"


def test_a_record_of_one_day_is_a_point_on_an_axis_without_hours():
    figures = [
        rolling_coverage_figure(ROLLING.iloc[:1], 0.8),
        skill_to_date_figure(pd.DataFrame({"horizon": 1, "origin": DAYS[:1], "skill": [0.01]}), 1),
    ]
    for figure in figures:
        assert figure.data[-1].mode == "markers"
        first, last = (pd.Timestamp(edge) for edge in figure.layout.xaxis.range)
        assert first < DAYS[0] < last
        assert last - first == pd.Timedelta(days=7)
    long = pd.concat([ROLLING, ROLLING.assign(origin=DAYS + pd.Timedelta(days=30))])
    assert rolling_coverage_figure(long, 0.8).layout.xaxis.range is None
