"""The dashboard's router and frame: `tickercast dashboard` runs this file."""

import state
import streamlit as st

from forecasting import TickercastError

st.set_page_config(page_title="tickercast", page_icon="📈", layout="wide")
st.html("<style>.stMainBlockContainer { padding-top: 3.5rem }</style>")
page = st.navigation([st.Page("views/forecast.py", title="Forecast", default=True)], position="top")
st.caption("**tickercast**: probabilistic price forecasts, scored against a random walk")
try:
    page.run()
    source = state.current()
    st.caption(f"Workspace `{source.root}`, revision {source.revision}. Not investment advice.")
except TickercastError as error:
    st.error(str(error))
