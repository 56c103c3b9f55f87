"""The dashboard's router and frame: `tickercast dashboard` runs this file."""

import gc
import logging

import access
import elements
import state
import streamlit as st
import work

from forecasting import TickercastError

PAGES = {"overview": "Overview", "forecast": "Forecast", "track_record": "Track record", "backtest": "Backtest"}
PAGES |= {"prices": "Prices", "models": "Models"}


@st.cache_resource(ttl="1m", show_spinner=False)
def tidy() -> None:
    """Search for garbage once a minute, not after every redraw: with many visitors that takes most of it."""
    gc.collect()


def show_visitor() -> None:
    """Show who looks where that was asked, the way out, and whether they may act."""
    address, acts = access.visitor(), access.may_operate()
    if acts and not address:
        return
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        if not acts:
            st.caption(":material/visibility: Read-only", width="content")
        if address:
            st.caption(elements.code(address), width="content")
            access.offer_to_leave()


def show_foot() -> None:
    source = state.current()
    where = "" if access.is_public() else f"workspace {elements.code(source.root)}, "
    st.caption(f"tickercast, {where}revision {source.revision}. Not investment advice.")


def open_overview() -> None:
    """Open the first page, whose address is the server's own, for who typed its name."""
    st.switch_page(first)


st.set_page_config(page_title="tickercast", page_icon="📈", layout="wide")
st.html(
    "<style>.stMainBlockContainer { padding-top: 3.75rem }"
    # what is at work stays in sight
    ".stMainBlockContainer > div > div:has(.st-key-work) { position: sticky; top: 3.75rem; z-index: 50;"
    " background: Canvas }</style>"
)
access.require_access()
first = st.Page("views/overview.py", title=PAGES["overview"], url_path="first", default=True)
pages = [first, *(st.Page(f"views/{name}.py", title=title) for name, title in PAGES.items() if name != "overview")]
named = st.Page(open_overview, title=PAGES["overview"], url_path="overview", visibility="hidden")
page = st.navigation([*pages, named], position="top")
show_visitor()
try:
    work.show()
    page.run()
    tidy()
    show_foot()
except TickercastError as error:
    st.error(elements.plain(str(error)))
except Exception:
    logging.getLogger("tickercast.dashboard").exception("the page %s failed", page.url_path)
    st.error(
        "This page failed, through no fault of yours; the server's log says why. Next: reload it, or open another page."
    )
