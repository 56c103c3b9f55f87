"""Pieces of a page that several views show: cards, tables, text from outside."""

import re
from collections.abc import Callable, Mapping

import access
import pandas as pd
import streamlit as st
from plotly.graph_objects import Figure

CELLS = {"rnn": "Elman network", "gru": "GRU", "lstm": "LSTM", "none": "no recurrence (a control)"}
"""The recurrences that a network can have, in words."""

NOTHING = "\N{EN DASH}"
"""What stands in a table where there is no value."""

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|~$&]|:(?=\S)|^[-+#]|^\d+(?=[.)])")
_LONGEST = 500  # characters of a text from outside that are shown


def plain(text: str) -> str:
    """Return text from outside so that Streamlit's Markdown shows it as it is; a URL becomes a link to what it says.

    Where the dashboard is public, paths of the machine are left out.
    """
    return _MARKDOWN.sub(_escape, _in_one_line(text))


def code(text: str) -> str:
    """Return text from outside as inline code, else as `plain` does: for what people typed, which links nowhere."""
    line = _in_one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"`{line or ' '}`"


def _escape(found: re.Match[str]) -> str:
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"  # 1. would begin a list


def _in_one_line(text: str) -> str:
    seen = "".join(letter for letter in text if letter.isprintable() or letter.isspace())  # none that turns the line
    line = " ".join(access.without_paths(seen).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def drawn_once(max_entries: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that keeps what a function draws, and shows it again where its arguments are the same.

    The first one is the `Source`. All that it draws depends on its arguments alone, and it holds no control.
    """
    return st.cache_data(max_entries=max_entries, show_spinner=False)


def page_color() -> str:
    """Return the page's background, for figures that are saved as images."""
    return st.get_option(f"theme.{st.context.theme.type or 'light'}.backgroundColor") or "#ffffff"


def card(label: str, value: str, note: str) -> None:
    with st.container(border=True, height="stretch", gap=None):
        st.caption(label)
        st.markdown(f"### {value}")
        st.markdown(f":small[{note}]")


def show_chart(figure: Figure, key: str) -> None:
    """Show a figure without plotly's own buttons."""
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key)


def show_table(table: pd.DataFrame, columns: Mapping[str, tuple[str, str | Callable[..., str]]]) -> None:
    """Show a table by a heading and a format for each column; the first one stays in sight, a dash is no value."""
    first = next(iter(columns))
    st.dataframe(
        table[list(columns)].style.format({name: form for name, (_, form) in columns.items()}, na_rep=NOTHING),
        column_config={
            name: st.column_config.Column(heading, pinned=name == first) for name, (heading, _) in columns.items()
        },
        hide_index=True,
    )


def offer_csv(label: str, table: pd.DataFrame, name: str) -> None:
    """Offer a table for download."""
    st.download_button(
        label, lambda: table.to_csv(index=False), name, "text/csv", on_click="ignore", icon=":material/download:"
    )


def known(value: object) -> str:
    """Return a value for a table; a dash where there is none."""
    return NOTHING if pd.isna(value) or value == "" else str(value)


def number(form: str) -> Callable[[float], str]:
    """Return how to write numbers for a table: a dash where there is none."""
    return lambda value: NOTHING if pd.isna(value) else form.format(value)


def whole(value: float) -> str:
    return NOTHING if pd.isna(value) else f"{value:,.0f}"


def day_text(day: pd.Timestamp) -> str:
    return NOTHING if pd.isna(day) else f"{day:%Y-%m-%d}"


def instant_text(instant: pd.Timestamp) -> str:
    return NOTHING if pd.isna(instant) else f"{instant:%Y-%m-%d %H:%M}"


def p_text(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def sessions(count: int) -> str:
    return f"{count} {'session' if count == 1 else 'sessions'}"
