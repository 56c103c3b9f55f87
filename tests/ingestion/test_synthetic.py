import numpy as np
import pandas as pd
import pytest
from scipy import stats

from forecasting.bars import broken_rules, normalize_bars
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest
from forecasting.ingestion.synthetic import SyntheticProvider, make_market
from forecasting.sessions import calendar_sessions


@pytest.fixture(scope="module")
def markets():
    return [make_market(f"SYN{i}") for i in range(1, 9)]


def returns_of(market: pd.DataFrame) -> np.ndarray:
    return np.diff(np.log(market["close"].to_numpy()))


def test_returns_have_the_volatility_that_is_stated(markets):
    standard = np.concatenate([returns_of(m) / m["volatility"].to_numpy()[1:] for m in markets])
    assert len(standard) > 30_000
    assert stats.kstest(standard, "norm").pvalue > 0.01


def test_nothing_can_be_known_of_the_direction(markets):
    standard = [returns_of(m) / m["volatility"].to_numpy()[1:] for m in markets]
    correlations = [np.corrcoef(s[1:], s[:-1])[0, 1] for s in standard]
    assert abs(np.mean(correlations)) < 3 / np.sqrt(sum(map(len, standard)))


def test_log_volatility_is_a_stationary_ar1_around_one_percent(markets):
    logs = np.stack([np.log(m["volatility"].to_numpy()) for m in markets]) - np.log(0.01)
    before, after = logs[:, :-1].ravel(), logs[:, 1:].ravel()
    slope = before @ after / (before @ before)
    assert slope == pytest.approx(0.98, abs=0.005)
    assert np.std(after - 0.98 * before) == pytest.approx(0.15, rel=0.02)
    assert abs(logs.mean()) < 4 * 0.15 / (1 - 0.98) / np.sqrt(logs.size)


def test_bars_hold_every_rule_on_every_session(markets):
    sessions = calendar_sessions("XNYS").to_series()["2004-01-02":"2018-12-31"].index
    for i, market in enumerate(markets):
        assert market.index.equals(sessions)
        bars = normalize_bars(market.reset_index().assign(symbol=f"SYN{i}"))
        assert set(broken_rules(bars)) == {""}


def test_a_symbol_is_the_same_every_time_and_unlike_any_other(markets):
    pd.testing.assert_frame_equal(make_market("SYN1"), markets[0], check_exact=True)
    assert abs(np.corrcoef(returns_of(markets[0]), returns_of(markets[1]))[0, 1]) < 0.06
    assert not make_market("SYN1", seed=1)["close"].equals(markets[0]["close"])


def test_the_provider_serves_the_market_without_its_secret():
    request = FetchRequest("SYN1", pd.Timestamp("2018-12-24"), pd.Timestamp("2018-12-28"))
    fetched = SyntheticProvider().fetch(request)
    assert isinstance(fetched, Fetched)
    assert list(fetched.bars.columns) == ["session", "open", "high", "low", "close", "volume", "symbol"]
    assert fetched.bars["close"].tolist() == make_market("SYN1")["close"]["2018-12-24":"2018-12-28"].tolist()
    assert fetched.instrument.embedded


@pytest.mark.parametrize("symbol", ["AAPL", "SYN0", "SYN10000", "SYN01"])
def test_another_symbol_is_not_in_the_market(symbol):
    failed = SyntheticProvider().fetch(FetchRequest(symbol, pd.Timestamp("2018-01-01"), pd.Timestamp("2018-12-31")))
    assert isinstance(failed, Failed)
    assert failed.kind == "unknown_symbol"
