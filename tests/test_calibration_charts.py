import numpy as np
import pandas as pd

from forecasting.calibration_charts import breaches_figure, pit_figure, rises_figure


def traces(figure):
    return {t.name: t for t in figure.data}


def test_the_pit_shows_every_bin_and_names_the_levels_between_them():
    edges = [0, 0.05, 0.5, 0.95, 1]
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": [10, 45, 35, 10]})
    figure = pit_figure(table.assign(density=[2.0, 1.0, 0.8, 2.0]))
    assert list(figure.data[0].y) == [2.0, 1.0, 0.8, 2.0]
    assert list(zip(figure.layout.xaxis.tickvals, figure.layout.xaxis.ticktext, strict=True)) == [
        (1, "5%"),
        (2, "50%"),
        (3, "95%"),
    ]
    assert figure.data[0].hovertext[1] == "from 5% to 50%<br>45 outcomes<br>1.00 of what should be"
    assert [shape.y0 for shape in figure.layout.shapes] == [1]


def test_no_more_levels_are_named_than_can_be_read():
    edges = np.linspace(0, 1, 101)
    table = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "rows": 1, "density": 1.0})
    assert len(pit_figure(table).layout.xaxis.tickvals) <= 12


def test_rises_are_drawn_against_what_was_said_and_the_diagonal():
    table = pd.DataFrame({"horizon": [1, 1, 5], "rows": 100, "forecast": [0.48, 0.52, 0.6], "rose": [0.5, 0.51, 0.4]})
    figure = rises_figure(table)
    drawn = traces(figure)
    assert list(drawn["1 session ahead"].x) == [0.48, 0.52]
    assert list(drawn["1 session ahead"].y) == [0.5, 0.51]
    assert list(drawn["5 sessions ahead"].y) == [0.4]
    assert drawn["calibrated"].x == drawn["calibrated"].y


def test_breaches_add_up_less_those_expected_each_date_once():
    table = pd.DataFrame(
        {
            "level": 0.05,
            "origin": pd.to_datetime(["2018-12-27", "2018-12-28", "2018-12-31"]),
            "rows": [2, 4, 4],
            "below": [1, 0, 4],
            "above": [0, 2, 0],
        }
    )
    drawn = traces(breaches_figure(table))
    np.testing.assert_allclose(drawn["below the 5% quantile"].y, [0.45, 0.40, 1.35])
    np.testing.assert_allclose(drawn["above the 95% quantile"].y, [-0.05, 0.40, 0.35])
    assert list(drawn["below the 5% quantile"].x) == ["2018-12-27", "2018-12-28", "2018-12-31"]
    # sqrt(t * 0.05 * 0.95) either side, at 1.645 of it
    np.testing.assert_allclose(drawn["chance"].y[:3], 1.645 * np.sqrt(np.arange(1, 4) * 0.0475))
    np.testing.assert_allclose(drawn["chance"].y[3:], -1.645 * np.sqrt(np.arange(3, 0, -1) * 0.0475))
