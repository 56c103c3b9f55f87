import pandas as pd
import pytest

from forecasting.bars import broken_rules, normalize_bars
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest
from forecasting.ingestion.sample import SampleProvider
from forecasting.sessions import calendar_sessions

ALWAYS = pd.Timestamp("1990-01-01"), pd.Timestamp("2030-01-01")


@pytest.mark.parametrize(
    ("symbol", "first_close", "last_close"),
    [("^GSPC", 1228.10, 2506.85), ("^IXIC", 2208.05, 6635.28)],  # as published for these two days
)
def test_the_sample_is_twenty_years_of_real_index_closes(symbol, first_close, last_close):
    fetched = SampleProvider().fetch(FetchRequest(symbol, *ALWAYS))
    assert isinstance(fetched, Fetched)
    close = fetched.bars.set_index("session")["close"]
    assert close[pd.Timestamp("1999-01-04")] == pytest.approx(first_close, abs=0.01)
    assert close[pd.Timestamp("2018-12-31")] == pytest.approx(last_close, abs=0.01)
    assert close.index.equals(calendar_sessions("XNYS").to_series()["1999-01-04":"2018-12-31"].index)
    assert fetched.events.empty


@pytest.mark.parametrize("symbol", SampleProvider.symbols)
def test_no_bar_of_the_sample_breaks_a_rule(symbol):
    fetched = SampleProvider().fetch(FetchRequest(symbol, *ALWAYS))
    assert isinstance(fetched, Fetched)
    assert set(broken_rules(normalize_bars(fetched.bars))) == {""}
    assert fetched.instrument.embedded


def test_a_request_is_answered_from_its_first_to_its_last_session():
    request = FetchRequest("^GSPC", pd.Timestamp("2018-12-24"), pd.Timestamp("2018-12-28"))
    fetched = SampleProvider().fetch(request)
    assert isinstance(fetched, Fetched)
    assert [d.day for d in fetched.bars["session"]] == [24, 26, 27, 28]


def test_another_symbol_is_not_in_the_sample():
    failed = SampleProvider().fetch(FetchRequest("AAPL", *ALWAYS))
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.symbol) == ("unknown_symbol", "AAPL")
    assert "^GSPC and ^IXIC only" in failed.cause
