import numpy as np
import pandas as pd
import pytest
from export_helpers import cells, saved_backtest
from helpers import events_of, flat_bars, no_quarantine, utc

from forecasting.errors import DataError, UsageError
from forecasting.exports.files import csv_text
from forecasting.exports.histories import backtest_table, price_table
from forecasting.instruments import Instrument
from forecasting.store import PriceStore

DAYS = ["2019-01-02", "2019-01-03", "2019-01-04"]
FIRST, LATER = utc("2019-01-07 22:00"), utc("2019-01-08 22:00")
PENCE = Instrument("VOD.L", "files", "XLON", "GBp", "Europe/London")


@pytest.fixture
def store(tmp_path):
    """AAA in dollars, with a 2:1 split and a dividend on its last day, and VOD.L in pence, corrected later."""
    store = PriceStore(tmp_path / "prices")
    events = events_of("AAA", (DAYS[2], "split", 2.0), (DAYS[2], "dividend", 1.0))
    bars = pd.concat([flat_bars("VOD.L", DAYS, [150.0, 151.0, 152.0]), flat_bars("AAA", DAYS, [100.0, 110.0, 54.0])])
    store.append([PENCE, Instrument.from_symbol("AAA", "files")], bars, events, no_quarantine(), FIRST)
    store.append([PENCE], flat_bars("VOD.L", DAYS[1:2], [151.5]), events.iloc[:0], no_quarantine(), LATER)
    return store


@pytest.mark.parametrize(
    ("basis", "closes", "volume"),
    [("traded", [100.0, 110.0, 54.0], 1000.0), ("split", [50.0, 55.0, 54.0], 2000.0), ("total", None, 2000.0)],
)
def test_prices_are_as_traded_or_adjusted_as_they_are_read(store, basis, closes, volume):
    table = price_table(store, ["AAA"], basis)
    if closes is None:
        closes = store.read(["AAA"], basis="total")["AAA"].bars["close"].tolist()
        assert closes[:2] == pytest.approx([50 * 54 / 55, 54.0])
    assert table["close"].tolist() == closes
    assert table["volume"].tolist() == [volume, volume, 1000.0]
    assert set(table["basis"]) == {basis}
    assert set(table["currency"]) == {"USD"}


def test_all_symbols_come_in_order_with_their_own_money_and_when_each_bar_was_known(store):
    table = cells(csv_text(price_table(store, basis="traded")))
    assert [(row["symbol"], row["session"]) for row in table] == [(s, d) for s in ("AAA", "VOD.L") for d in DAYS]
    assert [row["currency"] for row in table] == ["USD"] * 3 + ["GBp"] * 3
    assert [row["known_at"] for row in table[3:]] == [
        "2019-01-07T22:00:00Z", "2019-01-08T22:00:00Z", "2019-01-07T22:00:00Z",
    ]  # fmt: skip
    assert table[4]["close"] == "151.5"


def test_a_bar_that_was_withdrawn_is_not_exported(store):
    whole = flat_bars("AAA", [DAYS[0], DAYS[2]], [100.0, 54.0])
    store.append([], whole, events_of("AAA"), no_quarantine(), LATER + pd.Timedelta(days=1), whole=["AAA"])
    assert price_table(store, ["AAA"])["session"].dt.strftime("%Y-%m-%d").tolist() == [DAYS[0], DAYS[2]]


def test_prices_that_are_not_known_are_refused_by_name(store, tmp_path):
    for symbols, basis, error, said in (
        (["AAA", "BBB"], "split", DataError, "no prices of BBB"),
        (["AAA"], "adjusted", UsageError, "price bases are traded, split, total"),
    ):
        with pytest.raises(error, match=said):
            price_table(store, symbols, basis)
    stated = Instrument("CCC", "files", "XNYS", price_basis="split")
    store.append([stated], flat_bars("CCC", DAYS, [1.0, 2.0, 3.0]), events_of("CCC"), no_quarantine(), LATER)
    with pytest.raises(DataError, match="CCC is stored with split prices, its traded prices are not known; next: "):
        price_table(store, basis="traded")
    assert price_table(store, ["CCC"], "split")["close"].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(DataError, match="no bars of any symbol are stored; next: tickercast fetch"):
        price_table(PriceStore(tmp_path / "none"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return saved_backtest(tmp_path_factory.mktemp("backtests"))


def test_a_backtest_has_a_row_per_horizon_and_forecaster(report):
    table = backtest_table(report)
    names = [c.removeprefix("crps_") for c in report.scores if c.startswith("crps_")]
    assert table[["horizon", "forecaster"]].apply(tuple, axis=1).tolist() == [(h, n) for h in (1, 2, 3) for n in names]
    scores = report.scores.set_index("horizon")
    for row in table.to_dict("records"):
        at, name = scores.loc[row["horizon"]], row["forecaster"]
        assert (row["crps"], row["rows"]) == (at[f"crps_{name}"], at["rows"])
        assert row["mcs"] == at[f"mcs_{name}"]
        if name == "network":
            assert np.isnan([row[c] for c in ("network_skill", "network_skill_low", "network_skill_high", "p")]).all()
            assert row["coverage_80"] == at["coverage_80"]
        else:
            assert (row["network_skill"], row["p"]) == (at[f"skill_{name}"], at[f"p_{name}"])
            assert (row["network_skill_low"], row["network_skill_high"]) == (at[f"low_{name}"], at[f"high_{name}"])
    back = cells(csv_text(table))
    assert {row["backtest_id"] for row in back} == {report.backtest_id}
    assert {(r["test_first"], r["test_last"], r["symbols"], r["suspected_leak"]) for r in back} == {
        ("2018-09-06", "2018-12-31", "2", "False")
    }
