"""Real S&P 500 and NASDAQ Composite bars, 1999-2018, embedded in the `arch` package: no network."""

import pandas as pd

from forecasting.events import no_events
from forecasting.ingestion.provider import Failed, Fetched, FetchRequest, FetchResult, Provider
from forecasting.instruments import Instrument


class SampleProvider(Provider):
    """Serves `^GSPC` and `^IXIC` from 1999-01-04 to 2018-12-31."""

    source = "sample"
    symbols: tuple[str, ...] = ("^GSPC", "^IXIC")

    def fetch(self, request: FetchRequest) -> FetchResult:
        """Return the embedded bars within the request."""
        symbol = request.symbol
        if symbol not in self.symbols:
            return Failed(
                symbol,
                "unknown_symbol",
                f"the sample holds {' and '.join(self.symbols)} only; next: tickercast run {symbol}",
            )
        from arch.data import nasdaq, sp500

        raw: pd.DataFrame = (sp500 if symbol == "^GSPC" else nasdaq).load()
        bars = raw.loc[request.first : request.last].rename(columns=str.lower).drop(columns="adj close")
        bars = bars.rename_axis("session").reset_index().assign(symbol=symbol)
        return Fetched(Instrument.from_symbol(symbol, self.source), bars, no_events())
