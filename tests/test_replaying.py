import numpy as np
import pandas as pd
import pytest
from helpers import utc
from test_jobs import SMALL, add_bars

from forecasting.errors import DataError, TooFewBars, UsageError
from forecasting.exports.publishing import export_new_issues
from forecasting.ledger import Ledger
from forecasting.ledger_rows import forecast_of
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.manifest import list_models
from forecasting.registry import Registry
from forecasting.replaying import replay
from forecasting.scoring import Scores
from forecasting.sessions import session_close
from forecasting.store import PriceStore
from forecasting.universe import make_universe

UNIVERSE = make_universe(["SYN1", "SYN2"])
FIRST, LAST = pd.Timestamp("2018-10-01"), pd.Timestamp("2018-10-16")  # 12 sessions


def clock():
    return utc("2019-01-01 12:00")


@pytest.fixture
def filled_store(workspace):
    add_bars(workspace, "SYN1", "2017-01-03")
    add_bars(workspace, "SYN2", "2018-04-02")
    return workspace


def run(workspace, **settings):
    return replay(workspace, UNIVERSE, FIRST, LAST, SMALL, train_every=8, clock=clock, **settings)


def test_each_past_session_is_forecast_by_the_model_that_would_have_served_on_it(filled_store):
    report = run(filled_store)
    assert [t.session for t in report.trainings] == [pd.Timestamp("2018-10-01"), pd.Timestamp("2018-10-11")]
    rows = Ledger(filled_store.ledger).read()
    assert report.rows == len(rows) == 2 * 12 * 5
    assert set(rows["mode"]) == {"replay"}
    assert all(row.as_of == session_close("XNYS", row.origin) for row in rows.itertuples())
    assert rows["random_walk"].notna().all()
    assert rows["origin"].is_monotonic_increasing  # issued evening by evening

    # what someone would have got who trained and asked on that evening
    series = PriceStore(filled_store.prices).read()
    evening = {symbol: s.until(FIRST) for symbol, s in series.items()}
    asked = RNNForecaster(SMALL).fit(evening)
    later = pd.Timestamp("2018-10-09")
    expected = asked.forecast({symbol: s.until(later) for symbol, s in series.items()})
    for symbol, s in series.items():
        issued = rows[(rows["symbol"] == symbol) & (rows["origin"] == later)]
        found = forecast_of(issued, s.instrument)
        np.testing.assert_allclose(found.values, expected[symbol].values, atol=1e-6)
        assert found.flags() == expected[symbol].flags()


def test_what_has_matured_is_scored_and_no_model_becomes_a_candidate(filled_store):
    report = run(filled_store)
    scores = Scores(filled_store.scores).read("first")
    assert len(scores) == report.scored.matured == report.rows  # the store reaches ten weeks further
    assert Registry(filled_store.models).entries() == []
    assert report.head == Ledger(filled_store.ledger).head()
    # nor does the next evening export the past as if it were news
    with filled_store.lock():
        assert export_new_issues(filled_store, 60) == []
    assert not list(filled_store.exports.glob("*.csv"))


def test_a_second_replay_trains_and_issues_nothing(filled_store):
    first = run(filled_store)
    models = list_models(filled_store.models)
    again = run(filled_store)
    assert (again.rows, again.scored.matured, again.head) == (0, 0, first.head)
    assert again.trainings == first.trainings
    assert list_models(filled_store.models) == models


def test_a_replay_that_was_stopped_goes_on_where_it_was(filled_store):
    class Killed(Exception):
        pass

    def kill(what, done, total):
        if (what, done) == ("replay", 8):
            raise Killed

    with pytest.raises(Killed):
        run(filled_store, progress=kill)
    assert Ledger(filled_store.ledger).verify() == 2 * 8 * 5
    assert run(filled_store).rows == 2 * 4 * 5
    assert Ledger(filled_store.ledger).verify() == 2 * 12 * 5


def test_a_replay_without_a_session_or_a_history_is_refused(filled_store):
    with pytest.raises(UsageError, match="no session from 2019-02-01 .* stored are 2017-01-03 to 2018-12-31"):
        replay(filled_store, UNIVERSE, pd.Timestamp("2019-02-01"), pd.Timestamp("2019-03-01"), SMALL, clock=clock)
    with pytest.raises(TooFewBars, match="next:"):
        replay(filled_store, UNIVERSE, pd.Timestamp("2017-01-20"), LAST, SMALL, clock=clock)
    with pytest.raises(DataError, match="no prices of SYN9"):
        replay(filled_store, make_universe(["SYN9"]), FIRST, LAST, SMALL, clock=clock)
    assert not filled_store.ledger.exists()
