import exchange_calendars
import pytest

from forecasting.errors import DataError
from forecasting.ingestion.exchanges import _EXCHANGES, calendar_from
from forecasting.sessions import keeps_time_of


@pytest.mark.parametrize(
    ("exchange", "calendar"),
    [
        *[
            (code, "XNYS")
            for code in ("NMS", "NYQ", "NGM", "NCM", "ASE", "PCX", "BTS", "PNK", "OQB", "OQX", "SNP", "DJI")
        ],
        *[(code, "XFRA") for code in ("FRA", "STU", "MUN", "DUS", "BER", "HAM", "HAN")],
        ("GER", "XETR"),
        ("LSE", "XLON"),
        ("JPX", "XTKS"),
        ("KOE", "XKRX"),
        ("CCC", "24/7"),
        ("CCY", "24/5"),
        ("CMX", "CMES"),
    ],
)
def test_the_exchange_that_yahoo_names_decides(exchange, calendar):
    assert calendar_from({"exchangeName": exchange}, "ANY.XX") == calendar


@pytest.mark.parametrize(
    ("kind", "calendar"), [("CRYPTOCURRENCY", "24/7"), ("CURRENCY", "24/5"), ("FUTURE", "CMES"), ("EQUITY", "XLON")]
)
def test_where_it_names_none_that_is_known_the_kind_decides_and_then_the_symbol(kind, calendar):
    assert calendar_from({"exchangeName": "???", "instrumentType": kind}, "ANY.L") == calendar
    assert calendar_from({"exchangeName": None, "instrumentType": kind}, "ANY.L") == calendar
    assert calendar_from({"instrumentType": kind}, "ANY.L") == calendar


def test_where_neither_tells_the_exchange_is_not_guessed():
    with pytest.raises(DataError, match="not guessed"):
        calendar_from({"exchangeName": "???", "instrumentType": "EQUITY"}, "ANY.XX")


def test_the_table_names_calendars_that_there_are():
    assert set(_EXCHANGES.values()) <= set(exchange_calendars.get_calendar_names(include_aliases=False))


@pytest.mark.parametrize(
    ("exchange", "time_zone"),
    [
        ("NMS", "America/New_York"),
        ("CGI", "America/Chicago"),
        ("TOR", "America/Toronto"),
        ("LSE", "Europe/London"),
        ("STU", "Europe/Berlin"),
        ("JPX", "Asia/Tokyo"),
        ("ASX", "Australia/Sydney"),
        ("NYB", "America/New_York"),
    ],
)
def test_an_exchange_keeps_the_time_of_its_calendar(exchange, time_zone):
    assert keeps_time_of(_EXCHANGES[exchange], time_zone)
