"""What the price store holds, a row per symbol, and what is wrong with it."""

import pandas as pd

from forecasting.instruments import Instrument, is_symbol
from forecasting.store import PriceStore

_COUNTS = ["bars", "gaps", "quarantined", "restatements"]


def read_holdings(store: PriceStore) -> pd.DataFrame:
    """Return what is stored of each symbol, and what came of its last fetch.

    Returns
    -------
    DataFrame
        By symbol: `symbol`, `source`, `calendar`, `currency` (empty where nothing of it was ever stored), `first` and
        `last` session (NaT without bars), number of `bars`, `gaps`, `quarantined` sessions and `restatements`; the
        last fetch: `fetched` (UTC instant, NaT where it was never asked for), `outcome` and `cause`, empty then; and
        whether it is `troubled`: without bars, with gaps or quarantined sessions, or its last fetch failed.
    """
    asked = store.last_fetches().set_index("symbol")[["known_at", "outcome", "cause"]]
    asked = asked.rename(columns={"known_at": "fetched"})
    asked = asked.loc[[s for s in asked.index if is_symbol(s)]]  # files have other names
    currencies = {symbol: instrument.currency for symbol, instrument in store.instruments().items()}
    stored = store.summary(gaps=True).set_index("symbol").drop(columns="known_at")
    stored["currency"] = stored.index.map(currencies).astype(object)
    stored["restatements"] = store.restatements()["symbol"].value_counts().reindex(stored.index)
    out = stored.join(asked, how="outer").sort_index()
    out[_COUNTS] = out[_COUNTS].fillna(0).astype("int64")
    texts = ["source", "calendar", "currency", "outcome", "cause"]
    out[texts] = out[texts].astype(object).fillna("").astype(str)
    out["troubled"] = (
        ~out["outcome"].isin(["", "ok"]) | (out["bars"] == 0) | (out["gaps"] > 0) | (out["quarantined"] > 0)
    )
    columns = ["source", "calendar", "currency", "first", "last", *_COUNTS, "fetched", "outcome", "cause", "troubled"]
    return out[columns].rename_axis("symbol").reset_index()


def basis_of(instrument: Instrument) -> str:
    """Return the basis that an instrument's prices are shown on: split-adjusted, or as a file adjusted them further."""
    return "total" if instrument.price_basis == "total" else "split"
