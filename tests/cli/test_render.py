from dataclasses import replace

import numpy as np
from helpers import normal_forecast

from forecasting.cli.render import show_forecasts
from forecasting.cli.values import forecast_values
from forecasting.forecasts import FLAGS


def test_a_forecast_is_marked_where_a_report_is_likely_and_says_what_it_is(capsys):
    plain = normal_forecast("AAA", horizon=5)
    soon = replace(normal_forecast("BBB", horizon=5), report_widening=np.array([0.0, 0.05, 0.12, 0.2, 0.25]))
    show_forecasts({"AAA": plain, "BBB": replace(soon, has_market=False)})
    quiet, marked = capsys.readouterr().out.split("BBB: ")
    assert not {"+", "likely", "market"} & {*quiet.split()}
    rows = [line.split()[:2] for line in marked.splitlines()[2:6]]
    assert rows == [["1", "2019-01-02"], ["2", "2019-01-03"], ["3", "2019-01-04+"], ["5", "2019-01-08+"]]
    said = " ".join(marked.split())
    assert "+ From 2019-01-04 on: wider, because a quarterly report is likely up to there, by up to 25%." in said
    assert f"M{FLAGS['no_market'][1:]}." in said


def test_as_json_each_session_has_its_flags_and_how_much_wider_it_is():
    soon = replace(normal_forecast("BBB", horizon=2), report_widening=np.array([0.05, 0.12]), has_market=False)
    sessions = forecast_values(soon)["sessions"]
    assert [(s["flags"], s["report_widening"]) for s in sessions] == [
        (["no_market"], 0.05), (["report_likely", "no_market"], 0.12),
    ]  # fmt: skip
    plain = forecast_values(normal_forecast("AAA", horizon=1))["sessions"][0]
    assert (plain["flags"], np.isnan(plain["report_widening"])) == ([], True)
