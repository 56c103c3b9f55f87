"""What the views share: the published state of the workspace, choices kept in the URL, what to say when empty.

Reads are cached by the workspace's revision, never by time: whoever writes ends with a new revision.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial

import access
import elements
import pandas as pd
import streamlit as st

from forecasting import Workspace, find_workspace

LONGEST = 200
"""Characters of a text that is typed in."""

_BETWEEN = "."  # choices in a URL


@dataclass(frozen=True)
class Source:
    """One published state of a workspace: the key of everything that is cached."""

    root: str
    revision: int

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.root)


def current() -> Source:
    """Return the workspace as it is published now."""
    workspace = Workspace(find_workspace())
    return Source(str(workspace.root), workspace.revision)


def now() -> pd.Timestamp:
    """Return the present instant; no cached read depends on it."""
    return pd.Timestamp.now(tz="UTC")


def choose(
    name: str,
    offered: Mapping[str, str],
    default: str,
    label: str,
    *,
    buttons: bool = False,
    read: Callable[[str], str | None] | None = None,
) -> str:
    """Show a control whose choice is the URL's parameter `name`, and return the choice.

    Parameters
    ----------
    offered : what each value of the parameter is called on screen
    default : stands where the URL has no parameter, or one that is not offered
    read : something else can be typed too, and this returns the value it stands for; None where it stands for none
    """
    asked = st.query_params.get(name)
    if read and asked is not None and (value := read(asked)):
        if value != asked:
            st.query_params[name] = value
        asked, offered = value, {**offered, value: offered.get(value, value)}
    st.session_state[name] = asked if asked in offered else default
    control = st.segmented_control if buttons else partial(st.selectbox, accept_new_options=read is not None)
    control(label, list(offered), format_func=lambda v: offered.get(v, v), key=name, on_change=_to_url, args=(name,))
    if asked in offered:
        return asked
    if asked is not None and not read:
        _tell_replaced(label, asked, offered[default])
    return default


def choose_day(name: str, first: date, last: date, default: date, label: str) -> date:
    """Show a calendar whose day, from `first` to `last`, is the URL's parameter `name`, and return the day."""
    day = default
    with suppress(ValueError):
        asked = date.fromisoformat(st.query_params.get(name, ""))
        day = asked if first <= asked <= last else default
    st.session_state[name] = day
    st.date_input(
        label, min_value=first, max_value=last, format="YYYY-MM-DD", key=name, on_change=_to_url, args=(name,)
    )
    if (asked_text := st.query_params.get(name)) and asked_text != day.isoformat():
        _tell_replaced(label, asked_text, day.isoformat())
    return day


def choose_some(name: str, offered: Mapping[str, str], label: str) -> list[str]:
    """Show pills of which any number may be chosen, those in the URL's parameter `name`, and return the choice."""
    asked = [one for one in st.query_params.get(name, "").split(_BETWEEN) if one in offered]
    st.session_state[name] = asked
    st.pills(
        label, list(offered), selection_mode="multi", format_func=offered.__getitem__, key=name,
        on_change=_to_url, args=(name,),
    )  # fmt: skip
    return asked


def type_in(name: str, label: str, placeholder: str) -> str:
    """Show a field for text, which is the URL's parameter `name`, and return the text."""
    asked = st.query_params.get(name, "")[:LONGEST]
    st.session_state[name] = asked
    st.text_input(label, placeholder=placeholder, max_chars=LONGEST, key=name, on_change=_to_url, args=(name,))
    return asked


def _tell_replaced(label: str, asked: str, shown: str) -> None:
    """Say that the URL asks for what is not there, and what is shown instead: it is not what somebody meant."""
    st.warning(
        f"{label}: {elements.plain(asked)} is not offered here; {elements.plain(shown)} is shown instead.",
        icon=":material/search_off:",
    )


def _to_url(name: str) -> None:
    chosen = st.session_state[name]
    text = _BETWEEN.join(chosen) if isinstance(chosen, list) else chosen
    if text:
        st.query_params[name] = str(text)
    else:  # buttons can be released, text deleted
        st.query_params.pop(name, None)


def explain_empty(source: Source, lacking: str = "No forecast has been issued") -> None:
    """Say what is not there yet, and what brings it."""
    where = "this workspace" if access.is_public() else f"the workspace {elements.code(source.root)}"
    st.info(f"{lacking} in {where} yet.", icon=":material/info:")
    st.markdown(
        "This command fetches the embedded S&P 500 and NASDAQ prices, trains, backtests and forecasts; it needs no "
        "network:"
    )
    st.code(access.command("run --source sample"), language="bash")
    st.markdown("For other symbols, with live prices:")
    st.code(access.command("run AAPL MSFT"), language="bash")
    st.markdown("Then reload this page.")
