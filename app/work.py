"""Long work: buttons that start it in a process of its own, and how far it is, on every page.

What is at work is read from the workspace, so a reload, a second tab or a closed browser changes nothing about it.
"""

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress

import access
import elements
import pandas as pd
import state
import streamlit as st

from forecasting import Ending, Job, TickercastError, cancel_job, job_at_work, last_ending, start_job

EVERY = "2s"
MOST_NAMED = 5
LONGEST = 60  # characters of a command that are shown
NAMES = {
    "backtest": "Backtest",
    "fetch": "Fetch of prices",
    "forecast": "Forecast",
    "promote": "Promotion",
    "replay": "Replay of past evenings",
    "retrain": "Evening job",
    "rollback": "Rollback",
    "run": "Main job",
    "score": "Scoring",
    "train": "Training",
}


def is_busy() -> bool:
    """Return whether something is at work, so that nothing else can be started."""
    return job_at_work(state.current().workspace) is not None


def offer(label: str, command: Sequence[str], key: str, why: str | None = None, icon: str | None = None) -> None:
    """Show a button that starts a command, to whoever may operate; while something is at work it cannot be pressed.

    `why` is what a hint at the button says.
    """
    if access.may_operate() and st.button(label, key=key, help=why, icon=icon, disabled=is_busy()):
        start(command)


def start(command: Sequence[str]) -> None:
    """Start a command over the workspace; say why where it is refused."""
    act(lambda: start_job(state.current().workspace, command, pd.Timestamp.now(tz="UTC")))


def act(change: Callable[[], object], before_rerun: Callable[[], object] = lambda: None) -> None:
    """Change something at once and show the page anew; say why where it is refused."""
    if access.refused():
        return
    try:
        change()
    except TickercastError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")
    else:
        before_rerun()
        st.rerun()


def stop() -> None:
    """Stop what is at work, where the dashboard started it."""
    if not access.refused():
        cancel_job(state.current().workspace)


@st.fragment(run_every=EVERY)
def show() -> None:
    """Show what is at work, on every page, and what came of it; show the page anew when something was published."""
    with st.container(key="work"), suppress(TickercastError):  # the page itself says what is wrong with the workspace
        show_state(state.current())


def show_state(source: state.Source) -> None:
    job, before = job_at_work(source.workspace), st.session_state.get("work_seen")
    st.session_state["work_seen"] = source, job is not None
    if before and before != st.session_state["work_seen"]:
        st.rerun()  # there is something new to show, or a button can be pressed again
    if job:
        st.session_state["watched"] = job.started
        show_job(job)
    elif ending := last_ending(source.workspace):
        show_ending(ending)


def show_job(job: Job) -> None:
    asked = elements.code(shortened(shlex.join(job.command))) if job.command else "started elsewhere"
    doing = "is being cancelled" if job.cancelled else elements.plain(job.doing(pd.Timestamp.now(tz="UTC")))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.share, f"**{NAMES.get(job.verb, job.verb)}**: {doing}  \n:small[{asked}]", width="stretch")
        if job.command and not job.cancelled and access.may_operate():
            st.button("Cancel", key="cancel_job", icon=":material/stop:", on_click=stop)


def show_ending(ending: Ending) -> None:
    """Show how the last job ended: a failure to everybody until it is dismissed, another end to who saw it at work."""
    watched, dismissed = (st.session_state.get(key) == ending.started for key in ("watched", "dismissed"))
    if dismissed or (ending.state in ("done", "cancelled") and not watched):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch"):
            show_outcome(ending)
        st.button("Dismiss", key="dismiss", on_click=st.session_state.update, kwargs={"dismissed": ending.started})


def show_outcome(ending: Ending) -> None:
    name = NAMES.get(ending.command[0], ending.command[0])
    if ending.state in ("done", "partly"):
        how = "done" if ending.state == "done" else "done in part"
        st.success(f"{name} is {how}. {elements.plain(ending.summary)}", icon=":material/check:")
    elif ending.state == "cancelled":
        st.info(f"{name} was cancelled. What was published before stays.", icon=":material/stop:")
    elif ending.state == "failed":
        st.error(f"{name} failed: {elements.plain(ending.error)}", icon=":material/error:")
    for symbol, cause in list(ending.failures.items())[:MOST_NAMED]:
        st.warning(f"{elements.plain(symbol)}: {elements.plain(cause)}", icon=":material/warning:")
    if len(ending.failures) > MOST_NAMED:
        st.caption(f"{len(ending.failures)} symbols failed; the page of prices names them all.")


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def just_done(verb: str) -> Ending | None:
    """Return the last job's ending once to each session that saw it at work, where it was of this verb and is done."""
    ending = last_ending(state.current().workspace)
    if ending is None or ending.command[0] != verb or ending.state != "done":
        return None
    if st.session_state.get("watched") != ending.started or st.session_state.get("taken") == ending.started:
        return None
    st.session_state["taken"] = ending.started
    return ending
