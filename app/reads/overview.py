"""What the overview reads, cached by the workspace's revision."""

import pandas as pd
import streamlit as st
from state import Source

from forecasting import EveningReport, TickercastError, last_report, read_outlooks


@st.cache_data(max_entries=4, show_spinner="Reading the universe")
def outlooks(source: Source, hour: pd.Timestamp) -> pd.DataFrame:
    """Return the outlook of every symbol; `hour` is the UTC instant as of which prices are current or stale."""
    return read_outlooks(source.workspace, hour)


@st.cache_data(max_entries=4, show_spinner=False)
def last_evening(source: Source) -> EveningReport | None:
    """Return the report of the last evening's run; none where there was none, or it is damaged."""
    try:
        return last_report(source.workspace)
    except TickercastError:
        return None
