"""Where an instrument trades, from what Yahoo says of it: which exchange calendar tells its sessions."""

from collections.abc import Mapping
from typing import Any

from forecasting.sessions import calendar_of

_EXCHANGES = {
    # United States: listings and funds of every tape, over the counter, and indices worked out from them
    "NMS": "XNYS", "NGM": "XNYS", "NCM": "XNYS", "NAS": "XNYS", "NYQ": "XNYS", "ASE": "XNYS", "PCX": "XNYS",
    "BTS": "XNYS", "PNK": "XNYS", "OQB": "XNYS", "OQX": "XNYS", "OEM": "XNYS", "OGM": "XNYS", "SNP": "XNYS",
    "DJI": "XNYS", "NIM": "XNYS", "WCB": "XNYS", "CGI": "XCBF",
    # the rest of America
    "TOR": "XTSE", "VAN": "XTSE", "NEO": "XTSE", "CNQ": "XTSE", "MEX": "XMEX", "SAO": "BVMF", "BUE": "XBUE",
    "SGO": "XSGO",
    # Europe; the German floors keep Frankfurt's sessions
    "LSE": "XLON", "IOB": "XLON", "FGI": "XLON", "ISE": "XDUB", "GER": "XETR", "FRA": "XFRA", "STU": "XFRA",
    "MUN": "XFRA", "DUS": "XFRA", "BER": "XFRA", "HAM": "XFRA", "HAN": "XFRA", "PAR": "XPAR", "AMS": "XAMS",
    "BRU": "XBRU", "LIS": "XLIS", "MIL": "XMIL", "MCE": "XMAD", "EBS": "XSWX", "VIE": "XWBO", "STO": "XSTO",
    "OSL": "XOSL", "CPH": "XCSE", "HEL": "XHEL", "ICE": "XICE", "TAL": "XTAL", "RIS": "XRIS", "LIT": "XLIT",
    "WSE": "XWAR", "PRA": "XPRA", "BUD": "XBUD", "IST": "XIST",
    # Asia, Africa and Oceania
    "JPX": "XTKS", "OSA": "XTKS", "FKA": "XTKS", "SAP": "XTKS", "HKG": "XHKG", "SHH": "XSHG", "SHZ": "XSHG",
    "KSC": "XKRX", "KOE": "XKRX", "TAI": "XTAI", "TWO": "XTAI", "SES": "XSES", "NSI": "XBOM", "BSE": "XBOM",
    "SET": "XBKK", "JKT": "XIDX", "KLS": "XKLS", "PHS": "XPHS", "SAU": "XSAU", "JNB": "XJSE", "ASX": "XASX",
    "NZE": "XNZE",
    # markets that hardly close: coins, currencies, futures
    "CCC": "24/7", "CCY": "24/5", "CME": "CMES", "CBT": "CMES", "NYM": "CMES", "CMX": "CMES", "NYB": "IEPA",
}  # fmt: skip
"""Yahoo's exchange codes (`exchangeName`) and the `exchange_calendars` whose sessions they keep."""

_KINDS = {"CRYPTOCURRENCY": "24/7", "CURRENCY": "24/5", "FUTURE": "CMES"}


def calendar_from(details: Mapping[str, Any], symbol: str) -> str:
    """Return the exchange calendar's name for an instrument.

    Parameters
    ----------
    details
        Yahoo's metadata of the instrument; `exchangeName` decides, or else `instrumentType` where that
        alone tells when it trades. Where both are silent the symbol's suffix decides.
    symbol
        In Yahoo's notation.

    Raises
    ------
    DataError
        Neither the metadata nor the symbol tell; the exchange is not guessed.

    Examples
    --------
    >>> calendar_from({"exchangeName": "TOR"}, "SHOP"), calendar_from({"exchangeName": "new"}, "VOD.L")
    ('XTSE', 'XLON')
    """
    return _EXCHANGES.get(details.get("exchangeName") or "") or (
        _KINDS.get(details.get("instrumentType") or "") or calendar_of(symbol)
    )
