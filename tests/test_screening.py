import io

import pandas as pd
import pytest
from helpers import normal_forecast
from outlook_helpers import NEW_YEAR, asked, issue, tell

from forecasting import SCREENS, Workspace, outlook_csv, read_outlooks, screen_outlooks, sum_up_outlooks


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    """Return outlooks of AAA (current), BRK-B (no forecast), OLD (stale) and NOPE (failed)."""
    workspace = Workspace(tmp_path_factory.mktemp("screened"))
    tell(workspace, "AAA", [100.0, 101.0] * 200)
    tell(workspace, "BRK-B")
    tell(workspace, "OLD", [1.0, 2.0], days=pd.DatetimeIndex(["2018-12-20", "2018-12-21"]))
    asked(workspace, "NOPE", "unknown_symbol", 'no symbol, "NOPE"')
    forecast = normal_forecast("AAA", horizon=20, sigma=0.0125, last_close=101.0)
    issue(workspace, forecast, flags={"AAA": ["old_model", "stale"]})
    verdicts = {"AAA": "beats", "BRK-B": "ties with", "NOPE": None, "OLD": "suspected leak"}
    return read_outlooks(workspace, NEW_YEAR).assign(verdict=pd.Series(verdicts))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "AAA BRK-B NOPE OLD"),
        ("aa", "AAA"),
        ("old, brk", "BRK-B OLD"),
        ("  ", "AAA BRK-B NOPE OLD"),
        (".*", ""),
    ],
)
def test_symbols_are_found_by_their_parts(table, text, found):
    assert screen_outlooks(table, text).index.tolist() == found.split()


@pytest.mark.parametrize(
    ("screens", "found"),
    [
        (["wrong"], "NOPE OLD"),
        (["unforecast"], "BRK-B"),
        (["wrong", "unforecast"], "BRK-B NOPE OLD"),
        (["volatile"], "AAA"),
        (["beats", "ties"], "AAA BRK-B"),
        (["loses"], "OLD"),
        (["untested"], ""),
        (["wrong", "loses"], "OLD"),
        (["no such screen"], "AAA BRK-B NOPE OLD"),
    ],
)
def test_screens_of_one_kind_add_up_and_of_two_kinds_must_both_hold(table, screens, found):
    assert screen_outlooks(table, "", screens).index.tolist() == found.split()
    assert set(screens) - {"no such screen"} <= SCREENS.keys()


def test_volatility_is_high_from_a_quarter_more_on(table):
    ratios = pd.Series({"AAA": 1.249, "BRK-B": 1.25, "NOPE": None, "OLD": 2.0})
    found = screen_outlooks(table.assign(volatility_ratio=ratios), "", ["volatile"])
    assert found.index.tolist() == ["BRK-B", "OLD"]


def test_a_line_sums_them_up(table):
    assert sum_up_outlooks(table) == "4 symbols, prices up to Mon 2018-12-31; 1 failed, 1 stale, 1 no forecast."
    assert sum_up_outlooks(table.loc[["AAA"]]) == "1 symbol, prices up to Mon 2018-12-31; all current."
    assert sum_up_outlooks(table.loc[["NOPE"]]) == "1 symbol; 1 failed."


def test_the_file_reads_back_as_it_was(table):
    read = pd.read_csv(io.StringIO(outlook_csv(table)), index_col="symbol")
    assert "closes" not in read
    assert read["cause"].to_dict()["NOPE"] == table.loc["NOPE", "cause"]
    assert read.loc["AAA", "flags"] == "old_model stale"
    assert read.loc["AAA", "origin"] == "2018-12-31"
    assert read.loc["AAA", "upper_20"] == pytest.approx(table.loc["AAA", "upper_20"], rel=1e-15)
