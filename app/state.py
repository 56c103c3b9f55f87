"""What the views share: cached reads of the workspace, choices kept in the URL, what to say when empty.

Reads are cached by the workspace's revision, never by time: whoever writes ends with a new revision.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from forecasting import (
    BacktestReport,
    Forecast,
    Ledger,
    PriceSeries,
    PriceStore,
    TickercastError,
    Workspace,
    explain_flags,
    find_report,
    find_workspace,
    flags_of,
    forecast_of,
    last_report,
    read_manifest,
)


@dataclass(frozen=True)
class Source:
    """One published state of a workspace: the key of everything that is cached."""

    root: str
    revision: int

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)


@dataclass(frozen=True)
class Issued:
    """A symbol's newest forecast as it stands in the ledger, and the prices known when it was issued."""

    rows: pd.DataFrame
    forecast: Forecast
    series: PriceSeries

    @property
    def remarks(self) -> list[str]:
        """What the forecast says of itself beside its numbers."""
        flags = flags_of(self.rows.sort_values("horizon"))
        return list(explain_flags(flags, self.forecast.target_sessions, self.forecast.report_widening).values())


def current() -> Source:
    """Return the workspace as it is published now."""
    workspace = Workspace(find_workspace())
    return Source(str(workspace.root), workspace.revision)


@st.cache_data(max_entries=8, show_spinner=False)
def issued_symbols(source: Source) -> list[str]:
    """Return the symbols that have a forecast in the ledger."""
    return list(Ledger(source.workspace.ledger).last_origins().index)


@st.cache_data(max_entries=64, show_spinner="Reading the forecast")
def issued_forecast(source: Source, symbol: str) -> Issued:
    """Return a symbol's newest forecast and its history up to the origin.

    Prices are read as they were known then: a later split or correction does not move them.
    """
    workspace = source.workspace
    rows = Ledger(workspace.ledger).latest([symbol])
    known_at = rows[["as_of", "data_as_of"]].max(axis=None)  # a replay's as_of lies before its fetch
    known = PriceStore(workspace.prices).read([symbol], as_of=known_at)[symbol]
    forecast = forecast_of(rows, known.instrument)
    return Issued(rows, forecast, known.until(forecast.origin))


@st.cache_data(max_entries=8, show_spinner=False)
def troubles(source: Source, symbol: str) -> list[str]:
    """Return what the last evening's run said is wrong with a symbol: that it failed, or that its prices are old."""
    try:
        report = last_report(source.workspace)
    except TickercastError:
        return []  # what was issued is shown all the same
    if report is None:
        return []
    said = {"Prices are stale": report.stale, "Not fetched": report.failures}
    evening = f"{report.ended:%Y-%m-%d %H:%M} UTC"
    return [f"{what}, as of {evening}: {named[symbol]}" for what, named in said.items() if symbol in named]


@st.cache_data(max_entries=64, show_spinner=False)
def backtest_report(source: Source, model_id: str) -> BacktestReport | None:
    """Return the newest backtest of a model's recipe over its universe; none where the model is damaged."""
    workspace = source.workspace
    try:
        manifest = read_manifest(workspace.models, model_id)
    except TickercastError:
        return None  # what was issued is shown all the same
    return find_report(workspace.backtests, manifest["universe"], manifest["recipe"])


def choose(name: str, offered: Mapping[str, str], default: str, label: str, *, buttons: bool = False) -> str:
    """Show a control whose choice is the URL's parameter `name`, and return the choice.

    Parameters
    ----------
    offered : what each value of the parameter is called on screen
    default : stands where the URL has no parameter, or one that is not offered
    """
    asked = st.query_params.get(name)
    st.session_state[name] = asked if asked in offered else default
    control = st.segmented_control if buttons else st.selectbox
    control(label, list(offered), format_func=offered.__getitem__, key=name, on_change=_to_url, args=(name,))
    return asked if asked in offered else default


def _to_url(name: str) -> None:
    if st.session_state[name] is None:  # buttons can be released
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = st.session_state[name]


def explain_empty(source: Source) -> None:
    """Say that there is no forecast yet, and what brings one."""
    st.info(f"No forecast has been issued in the workspace `{source.root}` yet.", icon=":material/info:")
    st.markdown(
        "This command fetches the embedded S&P 500 and NASDAQ prices, trains, backtests and forecasts; it needs no "
        "network:"
    )
    st.code(f"tickercast run --source sample --workspace {shlex.quote(source.root)}", language="bash")
    st.markdown("For other symbols, with live prices:")
    st.code(f"tickercast run AAPL MSFT --workspace {shlex.quote(source.root)}", language="bash")
    st.markdown("Then reload this page.")
