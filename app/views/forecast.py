"""One symbol's newest forecast, as it was issued, and how far such forecasts can be trusted."""

import shlex

import access
import elements
import meanings
import state
import streamlit as st
import trust
import work
from pieces import forecast as pieces
from reads import forecast as reads

from forecasting import (
    IssuedForecast,
    TickercastError,
    csv_text,
    job_at_work,
    long_table,
    normalize_symbol,
    price_text,
    wide_table,
)

HISTORIES = {"21": "1 mo", "63": "3 mo", "126": "6 mo", "252": "1 yr", "756": "3 yr"}
SHAPES = {"line": "Line", "candles": "Candles"}
EARLIER = {"0": "None", "1": "1", "5": "5", "10": "10"}
WORDS = (
    "session",
    "quantile",
    "range",
    "chance of a rise",
    "log return",
    "CRPS",
    "skill",
    "p",
    "baselines",
    "coverage",
)


def show(source: state.Source, known: dict[str, bool]) -> None:
    pick, *controls = st.columns([5, 7, 4, 5], vertical_alignment="bottom")
    with pick:
        symbol = choose_symbol(known)
    try:
        normalize_symbol(st.query_params.get("symbol", symbol))
    except TickercastError as error:
        st.warning(f"{elements.plain(str(error))}. {symbol} is shown instead.", icon=":material/search_off:")
    if known.get(symbol):
        show_forecast(source, symbol, controls)
    else:
        offer_forecast(source, symbol, has_prices=symbol in known)


def choose_symbol(known: dict[str, bool]) -> str:
    default = next((symbol for symbol, has_forecast in known.items() if has_forecast), next(iter(known)))
    offered = {symbol: symbol if has_forecast else f"{symbol} (prices only)" for symbol, has_forecast in known.items()}
    return state.choose("symbol", offered, default, "Symbol, or type another one", read=symbol_of)


def symbol_of(typed: str) -> str | None:
    try:
        return normalize_symbol(typed)
    except TickercastError:
        return None


def offer_forecast(source: state.Source, symbol: str, *, has_prices: bool) -> None:
    """Say that there is no forecast of a symbol, and offer to bring one."""
    has = f"`{symbol}` has prices in this workspace, and no forecast yet."
    st.info(has if has_prices else f"`{symbol}` is not in this workspace yet.", icon=":material/info:")
    if not (model := reads.serving_model(source, symbol)):
        st.markdown("No model serves here yet, so nothing can be forecast. This command trains one, and forecasts:")
        st.code(access.command(f"run {shlex.quote(symbol)}"), language="bash")
        return
    model_id, trained_on_it = model
    st.markdown(
        f"Its prices come from `{reads.asked_of(source, symbol)}`, its forecast from the champion `{model_id}`, "
        + ("which was trained on it." if trained_on_it else "which was trained on others, not on it.")
    )
    command = ("forecast", symbol, "--fetch")
    job = job_at_work(source.workspace)
    if job and job.command == command:
        st.markdown("It is being fetched and forecast; this page shows it when that is done.")
    offer_to_forecast(symbol)
    st.caption("The same as a command:")
    st.code(access.command(f"forecast {shlex.quote(symbol)} --fetch"), language="bash")


def offer_to_forecast(symbol: str) -> None:
    why = f"Fetches what is missing of the prices of {symbol}, and issues a forecast into the ledger."
    command = ("forecast", symbol, "--fetch")
    work.offer("Fetch and forecast", command, "fetch_forecast", elements.plain(why), ":material/download:")


def show_forecast(source: state.Source, symbol: str, controls: list) -> None:
    span_at, shape_at, past_at = controls
    with span_at:
        history = state.choose("history", HISTORIES, "63", "History shown", buttons=True)
    with shape_at:
        shape = state.choose("shape", SHAPES, "line", "Prices drawn as", buttons=True)
    with past_at:
        earlier = state.choose("past", EARLIER, "0", "Earlier forecasts, a week apart", buttons=True)
    issued = reads.issued_forecast(source, symbol)
    model_id = issued.rows["model_id"].iloc[0]
    report = reads.backtest_report(source, model_id)
    show_age(issued)
    for trouble in reads.troubles(source, symbol):
        st.warning(elements.plain(trouble), icon=":material/warning:")
    show_key_numbers(issued)
    for remark in issued.remarks:
        st.info(remark, icon=":material/info:")
    pieces.chart(source, symbol, int(history), shape == "candles", int(earlier), elements.page_color())
    verdict, origin = st.columns([3, 2], gap="large")
    with verdict:
        trust.show_verdict(report, symbol)
    with origin:
        trust.show_provenance(issued, reads.manifest(source, model_id))
    if report:
        pieces.scores(source, model_id)
    show_sessions(source, issued)
    meanings.explain(*WORDS)


def show_age(issued: IssuedForecast) -> None:
    """Say that a forecast is a replay of the past, or that it is old."""
    forecast, behind = issued.forecast, issued.sessions_behind(state.now())
    if not behind:
        return
    origin = f"{forecast.origin:%a %Y-%m-%d}"
    if forecast.instrument.embedded:
        st.caption(
            f":material/history: A replay as of {origin}, where the history of `{forecast.instrument.source}` ends: "
            "what would have been said then, not what is to come."
        )
    elif issued.is_replay:
        st.caption(f":material/history: A replay as of {origin}: computed later, as if on that day.")
    else:
        own = forecast.instrument.source == "files"
        st.warning(
            f"**This forecast is old.** It was made from prices up to {origin}, and {elements.sessions(behind)} "
            f"{'is' if behind == 1 else 'are'} complete since."
            + (" Next: `tickercast fetch --files` with newer prices, and `tickercast forecast`." if own else ""),
            icon=":material/schedule:",
        )
        if not own:
            offer_to_forecast(forecast.symbol)


def show_key_numbers(issued: IssuedForecast) -> None:
    forecast = issued.forecast
    currency = forecast.instrument.currency
    table = forecast.frame().join(forecast.interval(0.8))
    table = table[table["horizon"].isin([1, 5, forecast.horizon])]
    first, *rest = st.columns(1 + len(table))
    with first:
        elements.card(
            f"Last close  \n{forecast.origin:%a %Y-%m-%d}",
            price_text(forecast.last_close, currency),
            "What the forecast starts from",
        )
    for column, (day, row) in zip(rest, table.iterrows(), strict=True):
        with column:
            estimated = " (estimated)" if row["estimated"] else ""
            elements.card(
                f"Median {elements.sessions(row['horizon'])} ahead  \n{day:%a %Y-%m-%d}{estimated}",
                price_text(row[0.5], currency),
                f"80% range {price_text(row['lower'])} to {price_text(row['upper'])}  \n"
                f"Chance of a rise {row['prob_up']:.0%}",
            )


def show_sessions(source: state.Source, issued: IssuedForecast) -> None:
    symbol = issued.forecast.symbol
    st.subheader("Session by session")
    pieces.sessions(source, symbol)
    with st.expander("All quantiles", icon=":material/table:"):
        pieces.quantiles(source, symbol)
    stem = pieces.file_stem(issued)
    with st.container(horizontal=True):
        for label, suffix, export in (
            ("CSV for spreadsheets (wide)", "-wide", wide_table),
            ("CSV for programs (long)", "", long_table),
        ):
            st.download_button(
                label,
                lambda export=export: csv_text(export(issued.rows)),  # written when it is asked for
                f"{stem}{suffix}.csv",
                "text/csv",
                on_click="ignore",
                icon=":material/download:",
            )


source = state.current()
st.title("Forecast")
if known := reads.known_symbols(source):
    show(source, known)
else:
    state.explain_empty(source)
