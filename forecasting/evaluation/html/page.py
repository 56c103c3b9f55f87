"""The report of a backtest for people: one HTML page that can be mailed, with nothing beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isnan
from typing import Any

import pandas as pd

from forecasting.config import Recipe
from forecasting.evaluation.alarms import LEAKS, Alarm
from forecasting.evaluation.comparison import Comparison
from forecasting.evaluation.findings import Findings
from forecasting.evaluation.html import captions
from forecasting.evaluation.html.markup import Markup, element, make_document, make_table
from forecasting.evaluation.html.sections import BASIS_POINTS, UNKNOWN, Section, make_sections
from forecasting.evaluation.plan import BacktestPlan
from forecasting.evaluation.scores import COVERAGES
from forecasting.evaluation.verdicts import Verdict, in_words
from forecasting.evaluation.walkforward import Backtest

_MOST_NAMED = 6  # symbols in the title
_CELLS = {"rnn": "Elman network", "gru": "GRU", "lstm": "LSTM", "none": "network without recurrence"}
_LOOKS = {"beats": "word better", "loses to": "word worse", "ties with": "word"}


def make_page(
    backtest: Backtest,
    comparison: Comparison,
    plan: BacktestPlan,
    summary: str,
    data_as_of: pd.Timestamp | None = None,
) -> str:
    """Return the page of a backtest, everything in it; of the same backtest the same to the last byte.

    Parameters
    ----------
    summary : the verdict in words
    data_as_of : UTC instant as of which the store was read; None where the prices came from no store
    """
    findings = Findings(comparison.scores, comparison.tables)
    sections = [_headline(findings, _leaks(comparison)), *make_sections(findings, backtest), *_appendix(backtest, plan)]
    links = (element("a", section.heading, href=f"#{section.name}") for section in sections)
    body = [
        _head(findings, backtest, plan, data_as_of),
        *_verdict(comparison.alarms, summary),
        element("nav", *links),
        *(element("section", section.body, id=section.name) for section in sections),
    ]
    title = f"Backtest of {_symbols(backtest)}, {_period(backtest)}"
    return make_document(f"Suspected leak: {title}" if _leaks(comparison) else title, body)


def _head(findings: Findings, backtest: Backtest, plan: BacktestPlan, data_as_of: pd.Timestamp | None) -> Markup:
    as_of = "prices handed in" if data_as_of is None else f"{data_as_of:%Y-%m-%d %H:%M} UTC"
    recipe = _in_short(plan.recipe) if findings.name == "network" else findings.name
    facts = {
        "Origins forecast from": _period(backtest),
        "Symbols": f"{len(backtest.outcomes)}" + (f", {len(backtest.excluded)} left out" if backtest.excluded else ""),
        "Data as of": as_of,
        "Forecaster under test": recipe,
        "Fitted anew": f"{len(backtest.folds)} {'time' if len(backtest.folds) == 1 else 'times'}",
        "Backtest": plan.backtest_id,
    }
    pairs = (element("div", element("dt", name), element("dd", value)) for name, value in facts.items())
    return Markup(
        element("p", "Walk-forward backtest", class_="kind")
        + element("h1", _symbols(backtest))
        + element("dl", *pairs, class_="facts")
    )


def _verdict(alarms: Sequence[Alarm], summary: str) -> Iterator[Markup]:
    """Yield the alarms, suspected leaks first, and the verdict."""
    leaks = [alarm.sentence for alarm in alarms if alarm.kind in LEAKS]
    others = [alarm.sentence for alarm in alarms if alarm.kind not in LEAKS]
    if leaks:
        yield _alarm("Suspected leak, not a success", leaks)
    if others:
        yield _alarm("Suspected miscalibration", others)
    yield element("div", element("p", summary), class_="verdict suspect" if leaks else "verdict")


def _alarm(heading: str, sentences: Sequence[str]) -> Markup:
    """Return a box that shows the first sentence, and the others when asked."""
    plain = (sentence.removeprefix(f"{heading}: ") for sentence in sentences)
    first, *others = (element("p", sentence[:1].upper() + sentence[1:]) for sentence in plain)
    more = [element("details", element("summary", f"and {len(others)} more"), *others)] if others else []
    return element("div", element("h2", heading), first, *more, class_="alarm", role="note")


def _headline(findings: Findings, leak: bool) -> Section:
    scores = findings.scores
    coverages = [c for c in COVERAGES if f"coverage_{c * 100:.0f}" in scores]
    groups = [("", 1), ("CRPS, basis points", 1), ("Coverage", len(coverages)), ("", 1)]
    head = ["Sessions ahead", findings.name, *(f"{c:.0%}" for c in coverages), "Rows"]
    notes = [
        "CRPS measures how far whole forecast distributions were from what happened; lower is better. An interval "
        "should cover as much as its name says."
    ]
    if findings.baselines:
        groups[1:2] = [("CRPS, basis points", 2), ("Against the reference", 4), ("Strongest baseline", 3)]
        compared = ["reference", "skill", "90% interval", "p", "verdict", "name", "CRPS", "skill"]
        head[2:2] = compared
        notes.append(
            findings.fill(
                "The reference is REFERENCE. Of it and of every baseline the better form counts: as it is, or "
                "calibrated by its own past errors as the network is (marked cal.)."
            )
        )
    rows = [_headline_row(findings, row, coverages, leak) for row in scores.to_dict("records")]
    left = [6, 7] if findings.baselines else []
    table = make_table(head, rows, [group for group in groups if group[1]], left)
    words = (element("p", note, class_="soft") for note in notes)
    return Section("scores", "Scores", Markup(element("h2", "Scores") + table + "".join(words)))


def _headline_row(findings: Findings, row: Mapping[str, Any], coverages: Iterable[float], leak: bool) -> list[str]:
    horizon, name = int(row["horizon"]), findings.name
    cells = [str(horizon), _points(row[f"crps_{name}"])]
    if findings.baselines:
        crps = {baseline: float(row[f"crps_{baseline}"]) for baseline in findings.baselines}
        reference, strongest = findings.references[horizon], min(crps, key=crps.__getitem__)
        of_both = (row[f"{kind}_{baseline}"] for baseline in (reference, strongest) for kind in ("skill", "p"))
        skill, p_value, strongest_skill, strongest_p = of_both
        verdict = Verdict(horizon, reference, skill, p_value, strongest, strongest_skill, strongest_p)
        low, high = row[f"low_{reference}"], row[f"high_{reference}"]
        cells += [
            _points(crps[reference]) + (" cal." if reference.endswith("_calibrated") else ""),
            f"{skill:+.1%}",
            UNKNOWN if isnan(low) else f"{low:+.1%} to {high:+.1%}",
            UNKNOWN if isnan(p_value) else f"{p_value:.2g}" if p_value >= 0.001 else "< 0.001",
            _word(verdict, leak),
            element("span", in_words(strongest).removeprefix("a ").replace(" (calibrated)", ", cal."), class_="name"),
            _points(crps[strongest]),
            f"{strongest_skill:+.1%}",
        ]
    shares = (f"{row[f'coverage_{c * 100:.0f}']:.1%}" for c in coverages)
    return [*cells, *shares, f"{int(row['rows']):,}"]


def _word(verdict: Verdict, leak: bool) -> Markup:
    """Return the verdict's word; where a leak is suspected, no success."""
    if leak and verdict.word == "beats":
        return element("span", "suspected leak", class_="word worse")
    return element("span", verdict.word, class_=_LOOKS[verdict.word])


def _appendix(backtest: Backtest, plan: BacktestPlan) -> Iterator[Section]:
    if backtest.excluded:
        reasons = (element("li", reason) for _, reason in sorted(backtest.excluded.items()))
        yield _listed("left-out", "Symbols left out", element("ul", *reasons))
    days = [[f"{day:%Y-%m-%d}" for day in asdict(fold).values()] for fold in backtest.folds]
    folds = make_table(["Fitted from", "to", "Tested from", "to"], days)
    yield _listed("folds", "Folds", element("p", "Each fit sees the bars of its own part and nothing after it."), folds)
    settings = make_table(["Setting", "Value"], _flat(plan.to_json()), left=[1])
    yield _listed(
        "settings",
        "Recipe and settings",
        element("p", f"The recipe: {_in_short(plan.recipe)}. Baselines: {plan.baselines}."),
        element("details", element("summary", "Everything that decides it"), settings),
    )
    yield _listed(
        "repeat",
        "How to repeat it",
        element("pre", f"tickercast backtest --repeat {plan.backtest_id}"),
        element(
            "p",
            "This runs it again on the prices that it had and compares to the last bit. The same prices, settings and "
            "engine on the same kind of machine give the same forecasts and the same scores.",
        ),
    )
    terms = (element(tag, text) for pair in captions.GLOSSARY for tag, text in zip(("dt", "dd"), pair, strict=True))
    yield _listed("glossary", "Glossary", element("dl", *terms, class_="glossary"))
    limits = element("ul", *(element("li", limit) for limit in captions.LIMITS))
    yield _listed("limits", "Limits", limits, element("p", element("b", captions.NO_ADVICE)))


def _listed(name: str, heading: str, *parts: Markup) -> Section:
    return Section(name, heading, Markup(element("h2", heading) + "".join(parts)))


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[list[str]]:
    """Yield nested settings as name and value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            yield [f"{above}{name}", shown]


def _in_short(recipe: Recipe) -> str:
    network, training = recipe.network, recipe.training
    layers = f"{network.layers} {'layer' if network.layers == 1 else 'layers'} of {network.hidden} units"
    fitted = f"windows of {training.window} sessions, {training.epochs} epochs, seed {training.seed}"
    return f"{_CELLS[network.cell]}, {layers}, {fitted}"


def _leaks(comparison: Comparison) -> bool:
    return any(alarm.kind in LEAKS for alarm in comparison.alarms)


def _symbols(backtest: Backtest) -> str:
    symbols = sorted(backtest.outcomes)
    more = len(symbols) - _MOST_NAMED
    return ", ".join(symbols[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _period(backtest: Backtest) -> str:
    return f"{backtest.folds[0].test_first:%Y-%m-%d} to {backtest.folds[-1].test_last:%Y-%m-%d}"


def _points(crps: float) -> str:
    return f"{crps * BASIS_POINTS:,.1f}"
