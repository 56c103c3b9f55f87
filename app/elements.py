"""Pieces of a page that several views show: cards, tables, words explained, text from outside."""

import re
from collections.abc import Callable, Mapping

import access
import pandas as pd
import streamlit as st

MEANINGS = {
    "median": "**Median.** A price with even chances of the close being below or above it. It is nearly the last "
    "close, and that is right: in which direction a price moves can hardly be forecast.",
    "low and high": "**Low and high.** The 90% range, meant to hold the close in 90 of 100 cases: low is the 5%, high "
    "the 95% quantile.",
    "sessions ahead": "**+1, +5, +20.** Sessions ahead of the forecast's origin: tomorrow, a week, a month of trading. "
    "A forecast that does not reach so far is shown at its last session.",
    "volatility": "**Volatility.** How much log returns are expected to vary over the next month, a year's worth, read "
    "from their 90% range as if they were normal. **Against its past** is its ratio to the standard deviation of the "
    "daily log returns of the last 252 sessions, also a year's worth: 1.00 is as usual, from 1.25 on it counts as "
    "high.",
    "verdict": "**Verdict.** Whether forecasts of the next session beat a random walk with EWMA volatility in the "
    "newest backtest, or whether it could be luck: they tie, unless p is below 0.05, adjusted for how many symbols "
    "were tested. *Not tested* says that nothing is known.",
    "state": "**State.** *Failed*: the last fetch of the symbol failed, or the last evening left it out. *Stale*: a "
    "later session is complete than its prices, or than its forecast, know of. *Ended*: its prices are an embedded "
    "history that goes no further, and its forecast is a replay of that past.",
    "session": "**Session.** A trading day of the symbol's exchange; its close is the day's last price.",
    "quantile": "**Quantile.** A price with a stated chance of the close being below it: below the 10% quantile in one "
    "case out of ten. The 80% range lies between the 10% and the 90% quantile. The median has even chances on both "
    "sides.",
    "range": "**Range.** The 80% range should hold the close in 80 of 100 cases; in the other 20 it lies outside, as "
    "often above as below.",
    "chance of a rise": "**Chance of a rise, P(up).** How probable a close above the last one is. Near 50%, as it "
    "mostly is, the forecast says how far the price may move and not in which direction.",
    "log return": "**Log return.** The natural logarithm of the price ratio since the last close; 0.01 is close to a "
    "rise of 1%.",
    "CRPS": "**CRPS.** How far the whole forecast, not its median alone, was from what happened; lower is better. It "
    "rewards ranges that are narrow and still right.",
    "skill": "**Skill.** The share of a baseline's CRPS that the network saves: 0% is no better than the baseline.",
    "p": "**p.** How often chance alone would make a difference this large; from 0.05 on, it counts as a tie. It "
    "decides, also where the interval, which is computed in another way, leaves zero out.",
    "baselines": "**Baselines.** A random walk leaves the price where it is and draws its ranges from past returns; "
    "the EWMA random walk also adapts them to how much prices move at present. Hard to beat: prices are close to a "
    "random walk.",
    "origin": "**Origin.** The last session that a forecast saw. Sessions ahead are counted from it.",
    "live and replay": "**Live and replay.** Live forecasts were issued before their target session opened. A replay "
    "computes what would have been issued on a past day from the prices of then; it can be run again until it looks "
    "good, so the two are never mixed.",
    "band of chance": "**Band of chance.** Where the coverage of so few sessions lies for nine of ten forecasts whose "
    "ranges are exactly right. It takes into account that forecasts of neighbouring days share sessions, and that "
    "symbols move together. It holds for each date by itself: over a long record a line leaves it now and then.",
    "PIT": "**PIT.** At which quantile of its forecast an outcome came to lie. Over many outcomes all are equally "
    "frequent, and every bar is as high as the dashed line. High outer bars: the ranges were too narrow.",
    "best and worst calls": "**Best and worst calls.** The forecasts that did best and worst against the random walk "
    "issued with them, by CRPS. They are picked after the fact: they show what a hit and a miss look like, not how "
    "often they come.",
    "Brier": "**Brier score.** The mean squared error of the chance of a rise; 0.25 is what always saying 50% gets.",
    "interval": "**90% interval.** Where the true value lies, at 90% confidence. It takes into account that forecasts "
    "of neighbouring days share sessions, and that symbols move together.",
    "calibrated": "**Calibrated.** A forecast whose probabilities come true as often as they say. Of a baseline: "
    "corrected by its own past errors, as the network is.",
    "MCS": "**Among the best.** The p-value of being among the best (Model Confidence Set): below 0.1, a baseline is "
    "clearly worse than the best one.",
    "value at risk": "**Value at risk.** The loss that is exceeded with a small probability only. Breaches should be "
    "as frequent as the level says (Kupiec), and not come in clusters (Christoffersen).",
    "direction": "**Direction.** How often the median had the right sign, beside what always saying the commoner "
    "sign would have got. The test (Pesaran and Timmermann) asks whether it is more than chance.",
    "walk-forward": "**Walk-forward.** Fitted on the past only, tested on what follows, then fitted again further on.",
    "gap": "**Gap.** A session of the exchange's calendar, between the first and the last bar, of which the source "
    "told nothing: a suspension, a holiday that the calendar does not know, or bars that the source lacks.",
    "quarantine": "**Quarantine.** Where rows are kept that cannot be right, such as a high below the low. They are "
    "never used, and never thrown away.",
    "flag": "**Flag.** A bar that can be right but gives reason to doubt, such as a split that was not told. It is "
    "used all the same.",
    "restatement": "**Restatement.** The source told its past differently than before. Both are kept, with the instant "
    "at which each was known.",
    "champion": "**Champion.** The model that makes a universe's forecasts. Every other one is a challenger.",
    "refresh": "**Refresh.** The champion's recipe, trained on newer prices. It takes over unless it is clearly worse; "
    "another recipe must prove that it is better.",
    "loss": "**Loss.** What training makes small: the mean error of the forecast quantiles, on returns divided by "
    "their expected size.",
    "gradient norm": "**Gradient norm.** How steep the loss was, on average over an epoch. Where it grows beyond "
    "measure, training diverges.",
    "epoch": "**Epoch.** One pass over all training windows.",
    "coverage": "**Coverage.** How often the close fell inside a range; an 80% range should hold it in 80 of 100 "
    "cases.",
}
"""Words that the views use, each explained once."""

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


def explain(*words: str) -> None:
    """Show what words mean, where somebody asks."""
    with st.expander("What does this mean?", icon=":material/help:"):
        st.markdown("\n\n".join(MEANINGS[word] for word in words))


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
