import numpy as np
from helpers import random_walk

from forecasting.bars import Instrument, PriceSeries
from forecasting.model.market import make_markets


def _pool():
    american = [random_walk(s, bars=n, seed=i) for i, (s, n) in enumerate([("AAA", 50), ("BBB", 40), ("CCC", 30)])]
    return [*american, PriceSeries(Instrument.from_symbol("7203.T"), random_walk("DDD", bars=50, seed=3).bars)]


def _means(pool, values, members=None):
    markets = make_markets(pool, values, members, fewest=2)
    return [markets[s.instrument.calendar].on(s.sessions) for s in pool]


def test_the_market_of_a_session_is_the_mean_of_its_exchange_where_enough_take_part():
    pool = _pool()
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(len(s), 2)) for s in pool]
    values[1][-5] = np.nan
    means = _means(pool, values)
    for t in range(1, 51):
        there = [v[-t] for v in values[:3] if t <= len(v) and not np.isnan(v[-t]).any()]
        expected = np.mean(there, axis=0) if len(there) >= 2 else [np.nan, np.nan]
        for mean in means[:3]:
            if t <= len(mean):
                np.testing.assert_allclose(mean[-t], expected)
    assert np.isnan(means[3]).all()


def test_only_members_make_the_market_and_others_are_set_against_it():
    pool = _pool()
    values = [np.full((len(s), 1), float(i)) for i, s in enumerate(pool)]
    means = _means(pool, values, {"AAA", "BBB"})
    assert (means[2] == 0.5).all()
    assert np.isnan(_means(pool, values, {"AAA"})[0]).all()
