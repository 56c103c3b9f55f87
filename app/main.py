"""The dashboard's router and frame: `tickercast dashboard` runs this file."""

import elements
import state
import streamlit as st
import work

from forecasting import TickercastError

PAGES = {"overview": "Overview", "forecast": "Forecast", "track_record": "Track record", "backtest": "Backtest"}
PAGES |= {"prices": "Prices", "models": "Models"}

st.set_page_config(page_title="tickercast", page_icon="📈", layout="wide")
st.html("<style>.stMainBlockContainer { padding-top: 3.75rem }</style>")
pages = [st.Page(f"views/{name}.py", title=title, default=name == "overview") for name, title in PAGES.items()]
page = st.navigation(pages, position="top")
try:
    work.show()
    page.run()
    source = state.current()
    st.caption(f"tickercast, workspace `{source.root}`, revision {source.revision}. Not investment advice.")
except TickercastError as error:
    st.error(elements.plain(str(error)))
