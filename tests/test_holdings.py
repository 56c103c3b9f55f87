import pandas as pd
import pytest
from helpers import no_quarantine, synthetic_series, utc

from forecasting import PriceStore, basis_of, read_holdings, split_symbols
from forecasting.bars import BAR_COLUMNS
from forecasting.errors import InvalidSymbol
from forecasting.events import no_events
from forecasting.instruments import Instrument


def bars_of(symbol):
    bars = synthetic_series("SYN1", "2018-12-31", "2018-01-01").bars[BAR_COLUMNS[2:]].reset_index()
    return bars.assign(symbol=symbol)


def fetched(symbol, outcome, cause="", bars=0):
    day = pd.Timestamp("2018-12-31")
    return pd.DataFrame(
        [(symbol, day, day, outcome, cause, bars)], columns=["symbol", "first", "last", "outcome", "cause", "bars"]
    )


@pytest.fixture
def store(tmp_path):
    """SYN1 as it should be; HOLEY with a gap, a row in quarantine, a restatement; GONE never came; a file's name."""
    store = PriceStore(tmp_path)
    whole, holey = bars_of("SYN1"), bars_of("HOLEY")
    held = holey.iloc[[5]].assign(rule="high_low")
    instruments = [Instrument("SYN1", "synthetic", "XNYS"), Instrument("HOLEY", "files", "XNYS", "GBp")]
    fetches = pd.concat(
        [fetched("SYN1", "ok"), fetched("GONE", "unknown_symbol", "no GONE"), fetched("a b.csv", "bad")]
    )
    bars = pd.concat([whole, holey.drop(index=[5, 9])])
    store.append(instruments, bars, no_events(), held, utc("2019-01-01"), fetches=fetches)
    corrected = holey.iloc[[20]].assign(close=lambda b: 1.02 * b["close"])
    tail = pd.concat([corrected, holey.iloc[21:]])
    store.append(instruments, tail, no_events(), no_quarantine(), utc("2019-01-02"), fetches=fetched("SYN1", "timeout"))
    return store


def test_a_row_per_symbol_says_what_is_stored_and_how_its_last_fetch_ended(store):
    table = read_holdings(store).set_index("symbol")
    assert list(table.index) == ["GONE", "HOLEY", "SYN1"]
    numbers = table[["gaps", "quarantined", "restatements", "troubled"]].to_dict("index")
    assert numbers["HOLEY"] == {"gaps": 1, "quarantined": 1, "restatements": 1, "troubled": True}
    assert numbers["SYN1"] == {"gaps": 0, "quarantined": 0, "restatements": 0, "troubled": True}
    assert table.loc["SYN1", ["source", "currency", "outcome"]].tolist() == ["synthetic", "USD", "timeout"]
    assert table.loc["SYN1", "fetched"] == utc("2019-01-02")
    assert pd.isna(table.loc["HOLEY", "fetched"])
    assert table.loc["HOLEY", "outcome"] == ""
    gone = table.loc["GONE"]
    assert (gone["bars"], gone["source"], gone["cause"], gone["troubled"]) == (0, "", "no GONE", True)
    assert pd.isna(gone["first"])
    assert str(table.loc["HOLEY", "last"].date()) == "2018-12-31"


def test_whatever_is_as_it_should_be_has_no_trouble(store):
    store.append(
        [], bars_of("SYN1").iloc[:0], no_events(), no_quarantine(), utc("2019-01-03"), fetches=fetched("SYN1", "ok")
    )
    assert not read_holdings(store).set_index("symbol").loc["SYN1", "troubled"]
    assert store.fetches(["SYN1"])["outcome"].tolist() == ["ok", "timeout", "ok"]


def test_an_empty_store_holds_nothing(tmp_path):
    table = read_holdings(PriceStore(tmp_path))
    assert table.empty
    assert {"symbol", "troubled"} <= set(table)
    assert PriceStore(tmp_path).fetches(["SYN1"]).empty


def test_prices_are_shown_split_adjusted_but_where_a_file_adjusted_them_further():
    assert basis_of(Instrument("A", "files", "XNYS", price_basis="total")) == "total"
    assert basis_of(Instrument("A", "files", "XNYS")) == "split"


def test_typed_symbols_are_told_apart_and_wrong_ones_refused():
    assert split_symbols(" aapl,^gspc;\nVOD.L  AAPL ") == ("AAPL", "^GSPC", "VOD.L")
    assert split_symbols(" ") == ()
    for wrong in ("--full", "../x", "A<b>"):
        with pytest.raises(InvalidSymbol):
            split_symbols(wrong)
