import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingestion.files_made import ALPHA_VANTAGE, AS_PEOPLE_HAVE_THEM, GERMAN, YAHOO, expected

from forecasting.bars import BAR_COLUMNS, PRICE_COLUMNS, adjust_bars, broken_rules, make_series, normalize_bars
from forecasting.errors import BarsError, DataError, InvalidSymbol, TickercastError, UsageError
from forecasting.ingestion import cells, tabular
from forecasting.ingestion.files import FileProvider, read_bars
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest
from forecasting.sessions import are_sessions

RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "csv"
ALWAYS = pd.Timestamp("1900-01-01"), pd.Timestamp("2100-01-01")
HEADER = "Date,Open,High,Low,Close,Volume\n"
ROW = "2018-12-31,10,12,9,11,100\n"


def made(tmp_path, text, name="AAA.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def fetched(path, prices="split", symbol=None, **facts) -> Fetched:
    provider = FileProvider(path, prices, symbol, **facts)
    result = provider.fetch(FetchRequest(provider.symbols[0], *ALWAYS))
    assert isinstance(result, Fetched), result
    return result


# what people have


@pytest.mark.parametrize("text", AS_PEOPLE_HAVE_THEM.values(), ids=AS_PEOPLE_HAVE_THEM)
@pytest.mark.parametrize("packed", [False, True])
def test_every_vendor_way_of_writing_gives_the_same_bars(tmp_path, text, packed):
    path = made(tmp_path, gzip.compress(text.encode()) if packed else text, "AAA.csv.gz" if packed else "AAA.csv")
    pd.testing.assert_frame_equal(read_bars(path, prices="split"), expected())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_text_is_read_in_the_encoding_it_was_saved_in(tmp_path, encoding):
    pd.testing.assert_frame_equal(read_bars(made(tmp_path, GERMAN.encode(encoding)), prices="split"), expected())


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("time_zone", [None, "Asia/Tokyo"])
def test_parquet_is_read_with_its_dates_in_a_column_or_the_index(tmp_path, index, time_zone):
    frame = expected().drop(columns="symbol").rename(columns={"session": "Date"})
    frame["Date"] = frame["Date"].dt.tz_localize(time_zone)
    (frame.set_index("Date") if index else frame).to_parquet(tmp_path / "AAA.parquet", index=index)
    pd.testing.assert_frame_equal(read_bars(tmp_path / "AAA.parquet", prices="split"), expected())


def test_where_there_is_only_a_close_it_is_all_four_prices_and_the_volume_0(tmp_path):
    bars = read_bars(made(tmp_path, "Date,Price\r\n1986-01-02,25.56\r\n1986-01-03,26\r\n"), prices="traded")
    assert bars[PRICE_COLUMNS].to_numpy().tolist() == [[25.56] * 4, [26.0] * 4]
    assert bars["volume"].tolist() == [0, 0]


LONG = "date,symbol,close\n2018-12-28,BBB,2\n2018-12-28,AAA,1\n2018-12-31,AAA,1.5\n"
WIDE = "Date,AAA,BBB\n2018-12-28,1,2\n2018-12-31,1.5,\n"
WIDE_FIELDS = ",AAA:close,AAA:volume,BBB_Close,BBB_Volume\n2018-12-28,1,0,2,0\n2018-12-31,1.5,0,,\n"


@pytest.mark.parametrize("text", [LONG, WIDE, WIDE_FIELDS])
def test_many_symbols_stand_below_each_other_or_side_by_side(tmp_path, text):
    path = made(tmp_path, text, "prices.csv")
    bars = read_bars(path, prices="split")
    assert bars[["symbol", "close"]].to_numpy().tolist() == [["AAA", 1.0], ["AAA", 1.5], ["BBB", 2.0]]
    assert sorted(FileProvider(path, "split").symbols) == ["AAA", "BBB"]
    assert read_bars(path, prices="split", symbol="BBB")["close"].tolist() == [2.0]


def test_side_by_side_each_symbol_has_its_own_splits_and_dividends(tmp_path):
    text = (
        "Date,AAA:close,AAA:split,BBB:close,BBB:split,BBB:dividend,CCC:close\n"
        "2018-12-28,4,0,9,0,0,1\n2018-12-31,1,4,3,3,0.5,1\n"
    )
    provider = FileProvider(made(tmp_path, text, "prices.csv"), "traded")
    told = {s: provider.fetch(FetchRequest(s, *ALWAYS)).events for s in provider.symbols}
    assert {s: e[["symbol", "kind", "value"]].to_numpy().tolist() for s, e in told.items()} == {
        "AAA": [["AAA", "split", 4.0]],
        "BBB": [["BBB", "split", 3.0], ["BBB", "dividend", 0.5]],
        "CCC": [],
    }


def test_a_column_named_like_a_symbol_that_is_also_a_word_is_a_symbol_among_symbols(tmp_path):
    bars = read_bars(made(tmp_path, "Date,AAPL,LOW\n2018-12-31,1,2\n", "closes.csv"), prices="split")
    assert bars["symbol"].tolist() == ["AAPL", "LOW"]


def test_a_folder_has_one_file_per_symbol(tmp_path):
    made(tmp_path, YAHOO, "AAA.csv")
    made(tmp_path, gzip.compress(ALPHA_VANTAGE.encode()), "BRK.B.csv.gz")
    expected("CCC").to_parquet(tmp_path / "CCC.parquet")
    made(tmp_path, AS_PEOPLE_HAVE_THEM["stooq, bulk"].replace("AAA", "DDD"), "ddd.us.txt")
    made(tmp_path, "not prices", "README.md")
    bars = read_bars(tmp_path, prices="split")
    assert bars["symbol"].unique().tolist() == ["AAA", "BRK.B", "CCC", "DDD"]
    assert bars["close"].tolist() == expected()["close"].tolist() * 4


# what is not read


REFUSED = {
    "empty": ("", "is empty"),
    "blank": ("\n\n", "is empty"),
    "header only": (HEADER, "a header and no rows"),
    "web page": ("<!DOCTYPE html>\n<html><body>a,b\nc,d</body></html>", "web page or message.*<!doctype html>"),
    "message": ('{"Note": "Thank you, for using"}', "web page or message"),
    "limit": ("Exceeded the daily hits limit", "not a table, it begins 'Exceeded the daily hits limit'"),
    "binary": (b"\x00\x01\x02" * 500, "binary"),
    "packed binary": (gzip.compress(bytes(range(256))), "binary"),
    "spreadsheet": (b"PK\x03\x04rest", "ZIP archive or a spreadsheet"),
    "cut Parquet": (b"PAR1" + b"x" * 99, "not a whole table"),
    "cut row": (HEADER + ROW + "2019-01-02,10,12", "not a whole table.*Expected 6 columns, got 3"),
    "cut gzip": (gzip.compress((HEADER + ROW * 99).encode())[:-9], "damaged gzip"),
    "endless line": (gzip.compress(HEADER.encode() + ROW.encode() + b"9" * 10**7), "not a whole table"),
    "no header": (ROW + ROW, "no column of dates among '2018-12-31', '10'"),
    "no close": ("Date,Open,High,Low\n2018-12-31,1,1,1\n", "no column of closes"),
    "adjusted only": ("Date,Adj Close\n2018-12-31,1\n", "no column of closes.*state prices='total'"),
    "two closes": ("Date,Close,close\n2018-12-31,1,2\n", "'Close' and 'close' are both its close"),
    "no low": ("Date,Open,High,Close\n2018-12-31,1,1,1\n", "no column of low"),
    "no prices": (HEADER + "2018-12-31,null,null,null,null,null\n", "no row with a price"),
    "word": (HEADER + "2018-12-31,ten,12,9,11,100\n", "1 cells of the column 'Open' are no numbers, .*'TEN'"),
    "grouping": ('Date,Close\n2018-12-31,"1,2,345.5"\n', "column 'Close' are no numbers, .*'1,2,345.5'"),
    "no date": (HEADER + ",10,12,9,11,100\n", "1 rows have no date"),
    "no day": (HEADER + ROW + "2018-02-30,10,12,9,11,100\n", "1 dates .* for example '2018-02-30'"),
    "two forms": (HEADER + ROW + "31.12.2018,10,12,9,11,100\n", "1 dates are none or are not written like"),
    "two orders": ("Date,Close\n31/12/2018,1\n12/30/2018,1\n", "both '12/30/2018' and '31/12/2018'|both '31/12"),
    "intraday": (
        "Date,Close\n2018-12-31 10:00,1\n2018-12-31 10:00,1\n2018-12-31 11:00,2\n",
        "several times of day: prices are daily",
    ),
    "five minutes": ("<TICKER>,<PER>,<DATE>,<CLOSE>\nAAA,5,20181231,1\n", "other periods than D"),
    "negative split": ("Date,Close,Stock Splits\n2018-12-31,1,-2\n", "1 splits lie outside 0.000001 to 1000000, .* -2"),
}


@pytest.mark.parametrize(("content", "rule"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_file_of_daily_prices_is_refused_by_its_rule(tmp_path, content, rule):
    path = made(tmp_path, content)
    with pytest.raises(DataError, match=rule) as caught:
        read_bars(path, prices="split")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_date_that_can_be_read_in_two_ways_is_refused_with_both(tmp_path):
    path = made(tmp_path, "Date,Close\n02/03/2018,1\n05/03/2018,2\n")
    with pytest.raises(BarsError, match=re.escape("2018-03-02 (day first) or 2018-02-03 (month first)")):
        read_bars(path, prices="split")
    days = [read_bars(path, prices="split", day_first=first)["session"].iloc[0] for first in (True, False)]
    assert [d.date().isoformat() for d in days] == ["2018-03-02", "2018-02-03"]


def test_a_number_that_can_be_read_in_two_ways_is_refused_with_both(tmp_path):
    path = made(tmp_path, "Date;Close\n2018-12-31;1,234\n")
    with pytest.raises(BarsError, match=r"'1,234' is 1234 or 1\.234"):
        read_bars(path, prices="split")
    assert [read_bars(path, prices="split", decimal=d)["close"].item() for d in (".", ",")] == [1234.0, 1.234]


def test_decimal_points_and_commas_in_one_file_are_refused(tmp_path):
    with pytest.raises(BarsError, match="points and commas both"):
        read_bars(made(tmp_path, "Date;Close\n2018-12-28;1,5\n2018-12-31;1.5\n"), prices="split")


@pytest.mark.parametrize("packed", [False, True])
def test_more_text_than_the_limit_is_refused_without_unfolding_it(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(tabular, "MAX_BYTES", 2**21)
    text = (HEADER + ROW * 200_000).encode()
    with pytest.raises(DataError, match="more than 2 MB of text, the limit"):
        read_bars(made(tmp_path, gzip.compress(text) if packed else text), prices="split")


def test_more_rows_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tabular, "MAX_ROWS", 5)
    expected().loc[[0] * 6].to_parquet(tmp_path / "AAA.parquet")
    made(tmp_path, WIDE.replace("BBB", "BBB,CCC,DDD").replace("2\n", "2,3,4\n").replace("5,\n", "5,,,\n"), "w.csv")
    for name in ("AAA.parquet", "w.csv"):
        with pytest.raises(DataError, match="more than 5 bars"):
            read_bars(tmp_path / name, prices="split")


def test_more_columns_than_the_limit_are_refused(tmp_path, monkeypatch):
    endless = "Date," + ",".join(f"S{i}" for i in range(300_000)) + "\n"
    monkeypatch.setattr(tabular, "MAX_COLUMNS", 3)
    expected().to_parquet(tmp_path / "AAA.parquet")
    for path in (
        tmp_path / "AAA.parquet",
        made(tmp_path, WIDE.replace("BBB", "BBB,CCC"), "w.csv"),
        made(tmp_path, endless, "e.csv"),
    ):
        with pytest.raises(DataError, match="more than 3 columns, which is the limit; next: a folder"):
            read_bars(path, prices="split")


def test_more_symbols_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "MAX_TEXTS", 2)
    path = made(tmp_path, LONG + "2018-12-31,CCC,3\n", "prices.csv")
    with pytest.raises(
        DataError, match=r"prices\.csv: a column of symbols or dates has 3 different ones, 2 is the limit"
    ):
        read_bars(path, prices="split")
    assert len(read_bars(made(tmp_path, LONG), prices="split")) == 3


def grown(path):
    """Return how many symbols a file holds, and by how many bytes a process of its own grows to read it."""
    code = (
        "import resource, sys; from forecasting.ingestion.files import FileProvider;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; p = FileProvider(sys.argv[1], 'split');"
        "print(len(p.symbols), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    symbols, kilobytes = map(int, out.split())
    return symbols, kilobytes * (1 if sys.platform == "darwin" else 1024)


def test_memory_grows_with_the_cells_of_a_wide_file_and_not_with_the_square_of_its_columns(tmp_path):
    columns, row = range(6000), ",1.5" * 6000
    text = "Date," + ",".join(f"S{i}" for i in columns) + "".join(f"\n2018-12-{day}{row}" for day in (26, 27, 28, 31))
    symbols, memory = grown(made(tmp_path, text, "wide.csv"))
    assert symbols == len(columns)
    assert memory < 250e6


@pytest.mark.slow
def test_a_200_mb_file_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "LONG.csv"
    days = pd.date_range("1990-01-01", periods=10_000).strftime("%Y-%m-%d")
    with path.open("w") as file:
        file.write("Date,Symbol,Open,High,Low,Close,Volume\n")
        for symbol in range(400):
            file.writelines(f"{day},S{symbol},101.234567,102.345678,100.123456,101.345678,123456\n" for day in days)
    assert path.stat().st_size > 200e6
    symbols, memory = grown(path)
    assert symbols == 400
    assert memory < 4 * path.stat().st_size


# the price basis


SPLIT = """Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits
2018-12-26,50,52,48,50,44,200,0,0
2018-12-27,50,52,48,50,44,200,1,0
2018-12-28,52,54,50,52,45,300,0,4
2018-12-31,52,54,50,52,45,300,2,0
"""
TRADED = SPLIT.replace("50,52,48,50,44,200,0", "200,208,192,200,44,50,0").replace(
    "50,52,48,50,44,200,1", "200,208,192,200,44,50,4"
)


def test_the_price_basis_must_be_stated(tmp_path):
    path = made(tmp_path, YAHOO)
    for prices in (None, "", "adjusted"):
        with pytest.raises(UsageError, match="state what the prices in .* are: traded, split"):
            FileProvider(path, prices)


@pytest.mark.parametrize(("text", "prices"), [(SPLIT, "split"), (TRADED, "traded")])
def test_prices_are_stored_as_traded_and_read_adjusted_once(tmp_path, text, prices):
    path = made(tmp_path, text)
    found = fetched(path, prices)
    assert found.bars["close"].tolist() == [200, 200, 52, 52]
    assert found.bars["volume"].tolist() == [50, 50, 300, 300]
    assert found.events[["kind", "value"]].to_numpy().tolist() == [["split", 4.0], ["dividend", 4.0], ["dividend", 2.0]]
    adjusted = adjust_bars(found.bars.set_index("session")[[*PRICE_COLUMNS, "volume"]], found.events)
    assert adjusted["close"].tolist() == [50, 50, 52, 52]
    assert adjusted["volume"].tolist() == [200, 200, 300, 300]
    assert read_bars(path, prices=prices)["close"].tolist() == [50, 50, 52, 52]


def test_split_adjusted_prices_without_their_splits_are_kept_with_none_to_apply(tmp_path):
    found = fetched(made(tmp_path, YAHOO))
    assert found.bars["close"].tolist() == expected()["close"].tolist()
    assert found.events.empty


def test_prices_adjusted_for_dividends_too_bring_no_events(tmp_path):
    found = fetched(made(tmp_path, SPLIT), "total")
    assert found.bars["close"].tolist() == [50, 50, 52, 52]
    assert found.events.empty


@pytest.mark.parametrize(("text", "prices", "found"), [(SPLIT, "traded", "leaves no"), (TRADED, "split", "shows its")])
def test_a_basis_that_a_large_split_contradicts_is_refused(tmp_path, text, prices, found):
    with pytest.raises(BarsError, match=f"stated as {prices}, but the split of 4 on 2018-12-28 {found} jump"):
        read_bars(made(tmp_path, text), prices=prices)


@pytest.mark.parametrize("prices", ["traded", "split", "total"])
def test_an_adjusted_close_is_never_used(tmp_path, prices):
    close = read_bars(made(tmp_path, YAHOO), prices=prices)["close"]
    assert close.tolist() == expected()["close"].tolist()


def test_a_split_given_as_1_and_columns_of_other_vendors_are_understood(tmp_path):
    text = "date,close,adjusted_close,dividend_amount,split_coefficient\n2018-12-28,8,1,0,1\n2018-12-31,2,1,0.5,4\n"
    assert fetched(made(tmp_path, text), "traded").events["value"].tolist() == [4.0, 0.5]


# symbols


@pytest.mark.parametrize("name", ["prices.csv", "A';drop.csv", "=CMD.csv", "A" * 30 + ".csv", "😀.csv"])
def test_a_file_name_that_breaks_the_rule_is_no_symbol(tmp_path, name):
    path = made(tmp_path, YAHOO, name)
    with pytest.raises(InvalidSymbol, match="a symbol is 1 to 20 of"):
        FileProvider(path, "split")
    assert read_bars(path, prices="split", symbol="CL=F")["symbol"].unique().tolist() == ["CL=F"]
    with pytest.raises(InvalidSymbol):
        read_bars(path, prices="split", symbol="../../etc")


def test_a_name_inside_that_breaks_the_rule_fails_alone_in_the_provider_and_whole_in_read_bars(tmp_path):
    path = made(tmp_path, LONG.replace("BBB", "../../etc"), "prices.csv")
    provider = FileProvider(path, "split")
    assert provider.symbols == ("AAA",)
    assert [f.kind for f in provider.refused.values()] == ["invalid_symbol"]
    with pytest.raises(InvalidSymbol, match=re.escape("../../etc")):
        read_bars(path, prices="split")


def test_a_symbol_the_path_does_not_hold_is_named(tmp_path):
    path = made(tmp_path, LONG, "prices.csv")
    failed = FileProvider(path, "split").fetch(FetchRequest("MSFT", *ALWAYS))
    assert isinstance(failed, Failed)
    assert failed.kind == "unknown_symbol"
    assert "holds BBB, AAA, not 'MSFT'" in failed.cause
    with pytest.raises(UsageError, match="not 'MSFT'"):
        read_bars(path, prices="split", symbol="MSFT")


def test_a_file_whose_name_and_content_disagree_is_refused(tmp_path):
    made(tmp_path, AS_PEOPLE_HAVE_THEM["stooq, bulk"], "BBB.csv")
    with pytest.raises(DataError, match="holds AAA, not BBB"):
        read_bars(tmp_path, prices="split")


def test_two_files_of_one_symbol_are_refused(tmp_path):
    made(tmp_path, YAHOO, "AAA.csv")
    made(tmp_path, YAHOO, "AAA.txt")
    with pytest.raises(UsageError, match="are both AAA"):
        FileProvider(tmp_path, "split")


@pytest.mark.parametrize("path", ["missing", "empty", "\0", "x" * 5000, os.devnull])
def test_a_path_without_prices_is_refused(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TickercastError, match="no such file|has no file such as|cannot be read"):
        FileProvider(tmp_path / path, "split")


# the provider


def test_each_file_of_a_folder_succeeds_or_fails_by_itself(tmp_path):
    made(tmp_path, YAHOO, "AAA.csv")
    made(tmp_path, "<html>404</html>", "BBB.csv")
    made(tmp_path, "<html>404</html>", "notes.csv")
    provider = FileProvider(tmp_path, "split")
    assert provider.symbols == ("AAA", "BBB")
    results = [provider.fetch(FetchRequest(s, *ALWAYS)) for s in provider.symbols]
    assert [type(r) for r in results] == [Fetched, Failed]
    assert results[1].kind == "bad_file"
    assert "web page" in results[1].cause
    assert provider.refused["notes"].kind == "bad_file"


def test_a_request_is_answered_from_its_first_to_its_last_session(tmp_path):
    provider = FileProvider(made(tmp_path, YAHOO), "split")
    bars = provider.fetch(FetchRequest("AAA", pd.Timestamp("2018-12-28"), pd.Timestamp("2018-12-28"))).bars
    assert bars["session"].tolist() == [pd.Timestamp("2018-12-28")]
    failed = provider.fetch(FetchRequest("AAA", pd.Timestamp("2019-01-01"), pd.Timestamp("2019-12-31")))
    assert failed.kind == "no_data_in_range"
    assert "from 2018-12-27 to 2018-12-31, none from 2019-01-01" in failed.cause


def test_the_instrument_says_what_was_stated(tmp_path):
    facts = {"currency": "EUR", "calendar": "24/7"}
    instrument = fetched(made(tmp_path, YAHOO, "BTC.csv"), **facts).instrument
    assert (instrument.source, instrument.currency, instrument.calendar) == ("files", "EUR", "24/7")
    with pytest.raises(DataError, match="calendar NOPE"):
        FileProvider(tmp_path / "BTC.csv", "split", calendar="NOPE")


@pytest.mark.parametrize("currency", ["=1+1", "usd", "Gbp", "US Dollar", "@A1", "-", ""])
def test_a_currency_that_is_no_code_is_refused(tmp_path, currency):
    with pytest.raises(UsageError, match="a currency is a code in capitals, such as EUR"):
        FileProvider(made(tmp_path, HEADER + ROW), "split", currency=currency)


@pytest.mark.parametrize(
    ("symbol", "calendar", "currency"),
    [
        ("AAA", None, "USD"), ("AAPL.US", None, "USD"), ("^GSPC", None, "USD"), ("CL=F", None, "USD"),
        ("WTI", "CMES", "USD"), ("AAA", "NYSE", "USD"), ("BTC-USD", None, "USD"), ("ETH-BTC", None, "BTC"),
        ("EURUSD=X", None, "USD"), ("JPY=X", None, "JPY"),
        ("VOD.L", None, None), ("^FTSE", None, None), ("7203.T", None, None), ("WIG20", "XWAR", None),
        ("SHOP.TO", None, None), ("BTC", "24/7", None),
    ],
)  # fmt: skip
def test_the_money_is_stated_or_told_by_the_symbol_or_asked_for(tmp_path, symbol, calendar, currency):
    path = made(tmp_path, YAHOO, "prices.csv")
    request = FetchRequest(symbol, *ALWAYS)
    result = FileProvider(path, "split", symbol, calendar=calendar).fetch(request)
    if currency is None:
        assert (result.symbol, result.kind) == (symbol, "unknown_currency")
        assert "not guessed; next: " in result.cause
    else:
        assert result.instrument.currency == currency
    stated = FileProvider(path, "split", symbol, calendar=calendar, currency="GBp").fetch(request)
    assert (stated.instrument.currency, stated.instrument.minor_unit) == ("GBp", 100)


def test_a_surprise_is_a_failure_and_no_exception(tmp_path, monkeypatch):
    made(tmp_path, YAHOO)
    provider = FileProvider(tmp_path, "split")
    monkeypatch.setattr("forecasting.ingestion.files.read_prices", lambda *_: 1 / 0)
    assert provider.fetch(FetchRequest("AAA", *ALWAYS)).kind == "unexpected"


def test_rows_with_broken_values_go_on_and_empty_ones_are_counted(tmp_path):
    text = HEADER + ROW + "2018-12-28,,12,9,11,100\n2018-12-27,-1,2,-3,1,5\n2018-12-26,null,null,null,null,null\n"
    provider = FileProvider(made(tmp_path, text), "split")
    bars = normalize_bars(provider.fetch(FetchRequest("AAA", *ALWAYS)).bars)
    assert broken_rules(bars).tolist() == ["not_positive", "missing_price", ""]
    assert provider.null_rows == {"AAA": 1}


# fuzzing


def judged(path) -> None:
    """Reading gives canonical bars, or an error in one line that names the rule; fetching agrees."""
    for prices in ("traded", "split", "total"):
        told, bars, result = "", None, None
        try:
            bars = read_bars(path, prices=prices, symbol="AAA")
            result = FileProvider(path, prices, "AAA").fetch(FetchRequest("AAA", pd.Timestamp.min, pd.Timestamp.max))
        except TickercastError as error:
            told = str(error)
        if bars is None:
            assert "; next: " in told
            assert len(told.splitlines()) == 1
        else:
            assert list(bars.columns) == BAR_COLUMNS
            assert len(bars)
            pd.testing.assert_frame_equal(normalize_bars(bars), bars)
            assert isinstance(result, Fetched) or result.kind == "no_data_in_range"


CELLS = st.one_of(
    st.sampled_from(
        ["", "null", "1,234", "1.5", "1,5", "$2", "3K", "-", "1e5", "inf", "2018-12-31", "12/31/2018", '"']
    ),
    st.dates().map(str),
    st.floats().map(str),
    st.text(max_size=8),
)
NAMES = st.sampled_from(
    ["Date", "date", "Open", "High", "Low", "Close", "Volume", "AAA", "BBB:close", "Stock Splits", "Name", ""]
)


@given(st.lists(NAMES, min_size=1, max_size=7), st.data(), st.sampled_from(",;\t"))
def test_random_cells_under_known_headers_are_bars_or_a_named_rule(tmp_path_factory, header, data, delimiter):
    row = st.lists(CELLS, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, max_size=5))
    text = "\n".join(delimiter.join(cells) for cells in [header, *rows])
    judged(made(tmp_path_factory.mktemp("fuzz"), text.encode("utf-8", "surrogatepass")))


@given(st.one_of(st.text(), st.text().map(lambda t: HEADER + t), st.text(alphabet='0123456789-,.\n"')))
def test_random_text_is_bars_or_a_named_rule(tmp_path_factory, text):
    judged(made(tmp_path_factory.mktemp("fuzz"), text.encode("utf-8", "surrogatepass")))


@given(st.one_of(st.binary(), st.binary().map(gzip.compress), st.binary().map(lambda b: b"PAR1" + b + b"PAR1")))
def test_random_bytes_are_bars_or_a_named_rule(tmp_path_factory, content):
    judged(made(tmp_path_factory.mktemp("fuzz"), content))


@given(
    st.lists(st.tuples(st.datetimes(), *[st.floats()] * 5, st.sampled_from([0.0, 1.0, 4.0, 0.1, np.nan])), max_size=8),
    st.sampled_from(["us", "ms", "s"]),
    st.booleans(),
)
def test_random_frames_are_bars_or_a_named_rule(tmp_path_factory, rows, unit, index):
    frame = pd.DataFrame(rows, columns=["Date", "Open", "High", "Low", "Close", "Volume", "Stock Splits"])
    frame["Date"] = frame["Date"].astype(f"datetime64[{unit}]")
    path = tmp_path_factory.mktemp("fuzz") / "AAA.parquet"
    (frame.set_index("Date") if index else frame).to_parquet(path)
    judged(path)


# real files, where they are


WHAT_RECORDED_FILES_SAY = {
    # name: symbol, bars, first, last, close of the first and of the last as stored, broken rules
    "AAPL.csv.gz": ("AAPL", 754, "2012-01-03", "2014-12-31", 411.23, 110.38, {}),
    "CL=F.csv": ("CL=F", 265, "2019-05-20", "2020-05-18", 63.10, 31.97, {"high_low": 5, "not_positive": 1}),
    "eia-wti-daily.csv": ("WTI", 10226, "1986-01-02", "2026-08-18", 25.56, 86.48, {"not_positive": 1}),
    "investing-COP.csv": ("COP", 1508, "2018-10-15", "2024-10-11", 73.27, 110.49, {}),
    "stooq-pl-wig20_d.csv": ("WIG20", 1238, "2019-04-16", "2024-03-25", 2372.18, 2343.24, {}),
    "4063-T-1d-bad-stock-split-fixed.csv": ("4063.T", 22, "2023-03-15", "2023-04-14", 20205, 4129, {}),
    "8TRA-DE-1d-missing-div-adjust.csv": ("8TRA.DE", 5, "2023-05-30", "2023-06-06", 19.35, 18.66, {}),
    "AET-L-1d-100x-error.csv": ("AET.L", 23, "2022-05-03", "2022-06-06", 0.1455, 0.1455, {}),
}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded files")
@pytest.mark.parametrize("name", WHAT_RECORDED_FILES_SAY)
def test_recorded_files_say_what_they_say(name):
    symbol, count, first, last, first_close, last_close, rules = WHAT_RECORDED_FILES_SAY[name]
    found = fetched(RECORDED / name, symbol=symbol, currency="USD")
    bars = normalize_bars(found.bars)
    assert len(bars) == count
    assert [bars["session"].iloc[i].date().isoformat() for i in (0, -1)] == [first, last]
    assert bars["close"].iloc[[0, -1]].tolist() == pytest.approx([first_close, last_close], abs=0.005)
    broken = broken_rules(bars)
    assert broken[broken != ""].value_counts().to_dict() == rules


@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded files")
def test_apples_dividends_are_as_paid_though_the_file_has_them_split_adjusted():
    events = fetched(RECORDED / "AAPL.csv.gz").events
    paid = events[events["kind"] == "dividend"]["value"].to_numpy()
    assert paid == pytest.approx([2.65, 2.65, 2.65, 3.05, 3.05, 3.05, 3.05, 3.29, 0.47, 0.47], abs=1e-3)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="needs the recorded files")
def test_coins_side_by_side_have_bars_from_their_own_first_day_on_every_day():
    provider = FileProvider(RECORDED / "bitstamp-wide.csv", "traded", calendar="24/7", currency="USD")
    counts = {}
    for symbol in provider.symbols:
        bars = provider.fetch(FetchRequest(symbol, *ALWAYS)).bars
        assert are_sessions("24/7", pd.DatetimeIndex(bars["session"])).all()
        counts[symbol] = len(bars)
    assert counts == {"BTC": 1865, "ETH": 788, "LTC": 925}


def test_bars_from_a_file_are_ready_for_a_forecaster(tmp_path):
    series = make_series(read_bars(made(tmp_path, YAHOO), prices="split"))
    assert series["AAA"].bars["close"].tolist() == expected()["close"].tolist()
