import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from forecasting.bars import PriceSeries
from forecasting.charts import forecast_figure, price_text
from forecasting.config import LEVELS
from forecasting.forecasts import Forecast
from forecasting.instruments import Instrument
from forecasting.sessions import calendar_sessions, target_sessions

ORIGIN = pd.Timestamp("2018-12-31")
INDEX = Instrument("^GSPC", "sample", "XNYS")


@pytest.fixture
def series():
    sessions = calendar_sessions("XNYS")
    sessions = sessions[(sessions >= "2015-01-01") & (sessions <= "2019-02-28")].rename("session")
    return PriceSeries(INDEX, pd.DataFrame({"close": 100 + np.sin(np.arange(len(sessions)))}, index=sessions))


@pytest.fixture
def forecast(series):
    days, estimated = target_sessions("XNYS", ORIGIN, 20)
    values = 0.01 * np.sqrt(np.arange(1, 21))[:, None] * norm.ppf(LEVELS)
    return Forecast(INDEX, ORIGIN, float(series.bars.loc[ORIGIN, "close"]), days, estimated, LEVELS, values)


def traces(figure):
    return {t.name: t for t in figure.data}


def test_importing_the_module_loads_neither_plotly_nor_pandas():
    code = "import sys, forecasting.charts; sys.exit(bool({'plotly', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_axis_has_one_place_per_session_and_none_between(series, forecast):
    axis = forecast_figure(series, forecast, history=60).layout.xaxis
    expected = calendar_sessions("XNYS")
    expected = expected[(expected <= "2019-01-30")][-80:]
    assert axis.type == "category"
    assert list(axis.categoryarray) == [f"{d:%Y-%m-%d}" for d in expected]
    assert "2018-12-25" not in axis.categoryarray
    assert "2019-01-01" not in axis.categoryarray


def test_closes_end_at_the_origin_even_if_later_ones_are_known(series, forecast):
    closes = traces(forecast_figure(series, forecast, history=120))["close"]
    assert closes.x[-1] == "2018-12-31"
    assert len(closes.x) == 120
    assert closes.y[-1] == forecast.last_close


def test_what_happened_is_drawn_over_the_fan_where_it_is_asked_for(series, forecast):
    drawn = traces(forecast_figure(series, forecast, history=60, show_outcome=True))
    assert list(drawn)[-1] == "what happened"
    outcome = drawn["what happened"]
    assert outcome.x == drawn["median forecast"].x
    later = series.bars["close"][forecast.target_sessions]
    assert list(outcome.y) == [forecast.last_close, *later]
    assert outcome.hovertext[1] == f"<b>closed at {later.iloc[0]:,.2f} USD</b>"
    assert drawn["close"].x[-1] == "2018-12-31"


def test_only_what_has_happened_yet_is_drawn(series, forecast):
    early = replace(series, bars=series.bars.loc[:"2019-01-04"])
    drawn = traces(forecast_figure(early, forecast, show_outcome=True))
    assert drawn["what happened"].x == ("2018-12-31", "2019-01-02", "2019-01-03", "2019-01-04")
    at_origin = series.until(ORIGIN)
    assert "what happened" not in traces(forecast_figure(at_origin, forecast, show_outcome=True))


def test_a_currency_is_text_and_never_a_tag(series, forecast):
    hostile = replace(forecast, instrument=replace(INDEX, currency="<a href='https://x.example'>USD</a>"))
    drawn = str(forecast_figure(series, hostile, show_outcome=True).to_dict())
    assert "&lt;a href" in drawn
    assert "<a href" not in drawn


def test_the_fan_starts_at_the_last_close_and_shows_the_issued_prices(series, forecast):
    drawn = traces(forecast_figure(series, forecast))
    median = drawn["median forecast"]
    assert median.x[:2] == ("2018-12-31", "2019-01-02")
    np.testing.assert_allclose(median.y, [forecast.last_close, *forecast.prices()[:, 5]])
    bands = (("50% range", 4, 6), ("80% range", 3, 7), ("90% range", 2, 8), ("95% range", 1, 9))
    for name, lower, upper in bands:
        band = drawn[name]
        assert band.fill == "toself"
        outline = dict.fromkeys(band.x)
        assert list(outline) == list(median.x)
        np.testing.assert_allclose(band.y[:21], [forecast.last_close, *forecast.prices()[:, upper]])
        np.testing.assert_allclose(band.y[:20:-1], [forecast.last_close, *forecast.prices()[:, lower]])


def test_wider_bands_lie_under_narrower_ones_and_lines_on_top(series, forecast):
    names = [t.name for t in forecast_figure(series, forecast).data]
    assert names == ["95% range", "90% range", "80% range", "50% range", "close", "median forecast"]


def test_each_band_differs_from_the_others_by_lightness_and_the_widest_has_an_outline(series, forecast):
    bands = [t for t in forecast_figure(series, forecast).data if t.name.endswith("range")]
    assert len({band.fillcolor for band in bands}) == len(bands) == 4
    assert [band.line.width for band in bands] == [1, 0, 0, 0]
    assert bands[0].line.dash == "dot"


def test_candles_stand_on_the_sessions_of_the_closes_and_tell_a_fall_by_their_filling(series, forecast):
    close = series.bars["close"]
    prices = pd.DataFrame({"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close})
    whole = replace(series, bars=prices)
    line, candles = (forecast_figure(whole, forecast, 60, candles=c) for c in (False, True))
    assert "close" not in traces(candles)
    drawn = next(t for t in candles.data if t.type == "candlestick")
    assert drawn.x == traces(line)["close"].x
    for name in ("open", "high", "low", "close"):
        assert list(drawn[name]) == prices[name].loc[:ORIGIN].iloc[-60:].tolist()
    assert drawn.increasing.fillcolor != drawn.decreasing.fillcolor
    assert drawn.increasing.line.color == drawn.decreasing.line.color
    assert drawn.hovertext[-1].startswith("Mon 2018-12-31<br>open ")
    assert candles.layout.xaxis.categoryarray == line.layout.xaxis.categoryarray
    assert candles.layout.xaxis.rangeslider.visible is False


def test_earlier_forecasts_begin_at_their_origin_as_they_were_issued_and_end_with_the_axis(series, forecast):
    earlier = []
    for origin, last_close in (("2018-12-03", 90.0), ("2018-12-24", 95.0)):
        days, estimated = target_sessions("XNYS", pd.Timestamp(origin), 20)
        made = replace(forecast, origin=pd.Timestamp(origin), last_close=last_close, target_sessions=days)
        earlier.append(replace(made, estimated=estimated))
    figure = forecast_figure(series, forecast, 60, earlier=earlier)
    medians = [t for t in figure.data if t.name == "earlier forecasts"]
    assert [(t.x[0], t.y[0], len(t.x)) for t in medians] == [("2018-12-03", 90.0, 21), ("2018-12-24", 95.0, 21)]
    np.testing.assert_allclose(medians[1].y[1:], earlier[1].prices()[:, 5])
    band = next(t for t in figure.data if t.name == "earlier 80% range")
    np.testing.assert_allclose(band.y[:21], [90.0, *earlier[0].prices()[:, 7]])
    assert [t.showlegend for t in medians] == [True, False]
    assert medians[1].hovertext[1].startswith("median as of 2018-12-24: ")
    # under the fan and the closes
    assert [t.name.startswith("earlier") for t in figure.data[:5]] == [True] * 4 + [False]
    plain = forecast_figure(series, forecast, 60)
    assert figure.layout.xaxis.categoryarray == plain.layout.xaxis.categoryarray


def test_earlier_forecasts_from_before_the_history_are_left_out_and_add_no_place_to_the_axis(series, forecast):
    days = target_sessions("XNYS", pd.Timestamp("2018-12-03"), 20)[0]
    old = replace(forecast, origin=pd.Timestamp("2018-12-03"), target_sessions=days)
    assert not any(t.name.startswith("earlier") for t in forecast_figure(series, forecast, 10, earlier=[old]).data)
    # a target session that never came, because the exchange was closed
    closed = days.where(days != days[3], pd.Timestamp("2018-12-25"))
    figure = forecast_figure(series, forecast, 60, earlier=[replace(old, target_sessions=closed)])
    assert "2018-12-25" not in figure.layout.xaxis.categoryarray
    assert len(traces(figure)["earlier forecasts"].x) == 20


def test_an_interval_the_forecast_lacks_is_not_drawn(series, forecast):
    kept = [2, 5, 8]
    narrow = replace(forecast, levels=tuple(LEVELS[i] for i in kept), values=forecast.values[:, kept])
    assert [t.name for t in forecast_figure(series, narrow).data] == ["90% range", "close", "median forecast"]


def test_hovering_tells_the_full_date_the_prices_and_the_currency(series, forecast):
    drawn = traces(forecast_figure(series, replace(forecast, instrument=replace(INDEX, currency="GBp"))))
    assert drawn["close"].hovertext[-1].startswith("Mon 2018-12-31<br>close ")
    first = drawn["median forecast"].hovertext[1]
    assert first.startswith("Wed 2019-01-02<br>1 session ahead<br>")
    assert f"median {forecast.last_close:,.2f} GBp" in first
    assert "80%: " in first
    assert "chance of a rise 50%" in first


def test_estimated_sessions_are_marked_and_named(series, forecast):
    assert "date estimated" not in traces(forecast_figure(series, forecast))
    guessed = replace(forecast, estimated=np.arange(20) >= 18)
    drawn = traces(forecast_figure(series, guessed))
    assert drawn["date estimated"].x == ("2019-01-29", "2019-01-30")
    assert ["(estimated)" in text for text in drawn["median forecast"].hovertext[1:]] == guessed.estimated.tolist()


def test_sessions_up_to_which_a_report_is_likely_are_marked_and_hovering_tells_how_much_wider(series, forecast):
    assert "wider for a report" not in traces(forecast_figure(series, forecast))
    soon = replace(forecast, report_widening=np.where(np.arange(20) >= 18, 0.234, 0.05), has_market=False)
    drawn = traces(forecast_figure(series, soon))
    assert drawn["wider for a report"].x == ("2019-01-29", "2019-01-30")
    np.testing.assert_allclose(drawn["wider for a report"].y, soon.prices()[18:, 5])
    texts = drawn["median forecast"].hovertext[1:]
    assert [text.endswith("<br>23% wider, because a quarterly report is likely up to there") for text in texts] == [
        *[False] * 18, True, True,
    ]  # fmt: skip
    assert texts[0].endswith("<br>chance of a rise 50%")


def test_the_price_axis_names_the_currency_and_the_background_is_the_pages(series, forecast):
    layout = forecast_figure(series, forecast).layout
    assert layout.yaxis.title.text == "Price (USD)"
    assert layout.paper_bgcolor == layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert not layout.xaxis.title.text
    dark = forecast_figure(series, forecast, background="#0e1117", title="<b>^GSPC").layout
    assert dark.xaxis.title.text == "&lt;b&gt;^GSPC"
    assert dark.paper_bgcolor == dark.plot_bgcolor == "#0e1117"


@pytest.mark.parametrize(
    ("history", "labels"),
    [
        (10, ["17 Dec<br>2018", "Jan<br>2019"]),
        (63, ["1 Oct<br>2018", "Nov", "Dec", "Jan<br>2019"]),
        (252, ["Jan<br>2018", "Mar", "May", "Jul", "Sep", "Nov", "Jan<br>2019"]),
        (756, ["Jan<br>2016", "Jul", "Jan<br>2017", "Jul", "Jan<br>2018", "Jul", "Jan<br>2019"]),
    ],
)
def test_ticks_stand_at_the_first_session_of_a_month_as_many_as_fit(series, forecast, history, labels):
    axis = forecast_figure(series, forecast, history).layout.xaxis
    assert list(axis.ticktext) == labels
    assert set(axis.tickvals) <= set(axis.categoryarray)


def test_a_forecast_without_history_is_drawn_alone(series, forecast):
    alone = replace(series, bars=series.bars.iloc[:0])
    figure = forecast_figure(alone, forecast)
    assert figure.layout.xaxis.categoryarray[0] == "2018-12-31"
    assert len(figure.layout.xaxis.categoryarray) == 21


@pytest.mark.parametrize(("price", "text"), [(2506.847, "2,506.85 USD"), (1.0, "1.00 USD"), (0.0123456, "0.01235 USD")])
def test_small_prices_keep_their_digits(price, text):
    assert price_text(price, "USD") == text
