"""How a recipe did over past years, against doing nothing and against every other baseline."""

from collections.abc import Mapping

import access
import elements
import meanings
import state
import streamlit as st
import trust
import work
from reads import backtest as reads

from forecasting import BacktestReport, Exhibit, TickercastError, percent

BASELINES = {"standard": "standard (seconds)", "all": "all: GARCH, boosted trees .. (minutes)"}
TESTS = (126, 252, 504, 756, 1260)
DEFAULT_TEST = 756
MOST_NAMED = 3
EVERYTHING = ""
WORDS = (
    "walk-forward", "origin", "CRPS", "skill", "interval", "p", "baselines", "calibrated", "MCS", "coverage", "PIT",
    "value at risk", "direction",
)  # fmt: skip
SIDE_BY_SIDE = (("skill", "coverage"), ("pit",), ("years", "terciles"), ("rises", "breaches"))

COMPARED = {
    "skill": ("Skill", "{:+.1%}"),
    "low": ("at least", "{:+.1%}"),
    "high": ("at most", "{:+.1%}"),
    "p": ("p", elements.p_text),
}

STARTED = (
    "Walks the default recipe and the baselines forward over the stored prices. It runs in the background, one job at "
    "a time, and goes on when this page is closed. The same settings on the same prices give the same backtest."
)


def label(report: BacktestReport) -> str:
    """Return what a backtest is called in the list: universe, cell, dates."""
    named = ", ".join(report.universe[:MOST_NAMED])
    more = len(report.universe) - MOST_NAMED
    cell = elements.CELLS.get(report.plan.recipe.network.cell, report.plan.recipe.network.cell)
    symbols = f"{named} and {more} more" if more > 0 else named
    return f"{symbols} · {cell} · {report.test_first} to {report.test_last} · {report.backtest_id[-6:]}"


def show(source: state.Source, runs: Mapping[str, BacktestReport]) -> None:
    newest = next(iter(runs))
    pick, begin = st.columns([4, 1], vertical_alignment="bottom")
    with pick:
        run = state.choose("run", {name: label(report) for name, report in runs.items()}, newest, "Run")
    with begin:
        offer_start(source)
    report = runs[run]
    show_verdict(report)
    st.subheader("Scores")
    trust.show_scores(report)
    show_downloads(source, report)
    try:
        exhibits = {exhibit.name: exhibit for exhibit in reads.exhibits(source, run)}
        show_exhibits(exhibits)
        show_tables(report)
    except TickercastError as error:
        st.error(elements.plain(str(error)), icon=":material/error:")
    meanings.explain(*WORDS)


def show_verdict(report: BacktestReport) -> None:
    if report.suspected_leak:
        st.error("**Suspected leak, not a success.**", icon=":material/warning:")
    for alarm in report.alarms:
        st.warning(elements.plain(alarm), icon=":material/warning:")
    st.markdown(f"**{report.summary()}**")
    plan = report.plan
    fitted = f"fitted anew every {plan.config.refit_every} sessions" if plan.config.refit_every else "fitted once"
    as_of = f"prices as of {report.data_as_of[:16].replace('T', ' ')} UTC" if report.data_as_of else "prices handed in"
    st.caption(
        f"Walk-forward from every origin, {report.test_first} to {report.test_last}; {fitted}, {as_of}, "
        f"{plan.baselines} baselines. Backtest `{report.backtest_id}`; "
        f"`tickercast backtest --repeat {report.backtest_id}` runs it again and compares to the last bit."
    )


def show_downloads(source: state.Source, report: BacktestReport) -> None:
    with st.container(horizontal=True):
        page = reads.page(source, report.backtest_id)
        if page is None:
            st.info("The report is missing from this backtest's folder.", icon=":material/info:")
        else:
            st.download_button(
                "Report (HTML)",
                page,
                f"{report.backtest_id}.html",
                "text/html",
                on_click="ignore",
                icon=":material/description:",
                help="One file that needs no other: to read offline, or to mail",
            )
        st.download_button(
            "Scores (CSV)",
            report.scores.to_csv(index=False),
            f"{report.backtest_id}-scores.csv",
            "text/csv",
            on_click="ignore",
            icon=":material/download:",
        )


def show_exhibits(exhibits: Mapping[str, Exhibit]) -> None:
    """Show the figures of the report for people, those of a row side by side, the words beneath."""
    for row in SIDE_BY_SIDE:
        held = [exhibits[name] for name in row if name in exhibits]
        for column, exhibit in zip(st.columns(max(len(held), 1), gap="large"), held, strict=False):
            with column:
                show_exhibit(exhibit)


def show_exhibit(exhibit: Exhibit) -> None:
    st.subheader(exhibit.heading)
    for column, panel in zip(st.columns(len(exhibit.panels)), exhibit.panels, strict=True):
        with column:
            if panel.title:
                st.markdown(f"**{panel.title}**")
            elements.show_chart(panel.figure, panel.name)
    for words in exhibit.words:
        st.caption(elements.plain(words))


def show_tables(report: BacktestReport) -> None:
    """Show the numbers behind the figures, and offer each table of the backtest."""
    findings = report.findings
    st.subheader("Against every baseline")
    elements.show_table(
        findings.against_baselines(),
        {
            "baseline": ("Baseline", "{}"),
            "horizon": ("Ahead", "{}"),
            "form": ("Its better form", "{}"),
            "crps": ("CRPS, network", "{:.5f}"),
            "crps_baseline": ("CRPS, baseline", "{:.5f}"),
            **COMPARED,
            "mcs": ("Among the best, p", elements.p_text),
            "rows": ("Forecasts", "{:,}"),
        },
    )
    st.caption(
        "By how much the network's CRPS (log return, lower is better) is below that of each baseline in its better "
        "form, with its 90% interval and p, a row per horizon in sessions."
    )
    for name, heading in (("year", "By year"), ("tercile", "By volatility at the origin"), ("symbol", "By symbol")):
        if len(groups := findings.skill_by(name)):
            with st.expander(f"{heading}: skill with intervals and p", icon=":material/table_rows:"):
                adjusted = {"q": ("p, adjusted", elements.p_text)} if name == "symbol" else {}
                columns = {"group": (heading, "{}"), "horizon": ("Ahead", "{}"), **COMPARED, **adjusted}
                elements.show_table(groups, {**columns, "rows": ("Forecasts", "{:,}")})
                st.caption(
                    f"Skill against {elements.plain(findings.reference)}, in percent. A dash: too few origins to say, "
                    "or a backtest from before this was kept."
                    + (" Adjusted for the number of symbols tested (Benjamini and Hochberg)." if adjusted else "")
                )
    if len(tests := findings.tail_tests()):
        with st.expander("Value at risk: tests of the outer quantiles", icon=":material/table_rows:"):
            elements.show_table(
                tests,
                {
                    "horizon": ("Ahead", "{}"),
                    "quantile": ("Quantile", percent),
                    "rows": ("Separate rows", "{:,}"),
                    "violations": ("Breaches", "{:,}"),
                    "expected": ("Expected", "{:,.1f}"),
                    "rejected_kupiec": ("Frequency: rejected", "{}"),
                    "tested_kupiec": ("of", "{}"),
                    "rejected_independence": ("Clusters: rejected", "{}"),
                    "tested_independence": ("of ", "{}"),
                    "rejected_conditional": ("Both: rejected", "{}"),
                    "tested_conditional": ("of  ", "{}"),
                },
            )
            st.caption(
                "Of how many symbols each test rejects at 5%: Kupiec's (are breaches as frequent as the level says?), "
                "Christoffersen's (do they come in clusters?), and both at once. One symbol in twenty is rejected by "
                "chance."
            )
    if len(direction := findings.table("direction")):
        with st.expander("Direction: was the sign right?", icon=":material/table_rows:"):
            elements.show_table(
                direction,
                {
                    "horizon": ("Ahead", "{}"),
                    "rows": ("Forecasts", "{:,}"),
                    "accuracy": ("Right", "{:.1%}"),
                    "best_constant": ("Always the same sign", "{:.1%}"),
                    "p_value": ("p", elements.p_text),
                },
            )
            st.caption("How often the median had the sign of the log return, in percent of the forecasts.")
    show_raw_tables(report)


def show_raw_tables(report: BacktestReport) -> None:
    with st.expander("All tables as CSV", icon=":material/download:"):
        st.caption("Every score of every forecaster; the data dictionary (data/README.md) has the columns.")
        with st.container(horizontal=True):
            for name, table in report.findings.tables.items():
                st.download_button(
                    name,
                    table.to_csv(index=False),
                    f"{report.backtest_id}-{name}.csv",
                    "text/csv",
                    key=f"table_{name}",
                    on_click="ignore",
                )


def offer_start(source: state.Source) -> None:
    """Offer to start a backtest, to whoever may, where there is anything to test."""
    symbols = reads.stored_symbols(source)
    if not access.may_operate() or not symbols:
        return
    universes = reads.universes(source)
    offered = {name: f"{name} ({len(of_it)} symbols)" for name, of_it in universes.items()}
    offered[EVERYTHING] = f"All stored symbols ({len(symbols)})"
    if work.is_busy():  # a popover would stay open over the page
        st.button("Start a backtest", icon=":material/play_circle:", disabled=True, width="stretch", help=STARTED)
        return
    popover = st.popover("Start a backtest", icon=":material/play_circle:", width="stretch", help=STARTED)
    with popover, st.form("start_backtest", border=False):
        universe = st.selectbox("Universe", list(offered), format_func=offered.__getitem__)
        cell = st.selectbox("Cell", list(elements.CELLS), format_func=elements.CELLS.__getitem__)
        baselines = st.selectbox("Baselines", list(BASELINES), format_func=BASELINES.__getitem__)
        test = st.selectbox("Sessions tested, the last ones", TESTS, TESTS.index(DEFAULT_TEST))
        pressed = st.form_submit_button("Start", icon=":material/play_arrow:")
    if pressed:
        settings = ("--cell", cell, "--baselines", baselines, "--test-sessions", str(test))
        work.start(("backtest", *universes.get(universe, ()), *settings))


def explain_none(source: state.Source) -> None:
    st.info("No backtest has been run in this workspace yet.", icon=":material/info:")
    st.markdown("A backtest says whether forecasts are better than doing nothing. Start one here, or:")
    st.code(access.command("backtest"), language="bash")


source = state.current()
st.title("Backtest")
runs, damaged = reads.backtests(source)
if (ending := work.just_done("backtest")) and ending.result.get("backtest_id") in runs:
    st.query_params["run"] = ending.result["backtest_id"]
for backtest_id, cause in damaged.items():
    st.warning(f"`{backtest_id}` cannot be shown: {elements.plain(cause)}", icon=":material/warning:")
if runs:
    show(source, runs)
elif reads.stored_symbols(source):
    explain_none(source)
    offer_start(source)
else:
    state.explain_empty(source)
