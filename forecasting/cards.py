"""Model cards: what a saved model was made from, how it scored, what it is not for, and what became of it."""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from forecasting.errors import BundleError
from forecasting.evaluation.finished import find_report
from forecasting.evaluation.report import BacktestReport
from forecasting.evaluation.verdicts import make_headline
from forecasting.model.manifest import list_models, read_bundle, read_manifest
from forecasting.registry import Entry, Registry
from forecasting.workspace import Workspace, write_atomic

_MARKDOWN, _JSON = "card.md", "card.json"
_MOST_SYMBOLS = 12  # named in Markdown
_LIMITS = (
    "No investment advice. A forecast is a distribution: a range at 90% is left one time in ten.",
    "The median is nearly the last close. What can be forecast is how far a daily price may move, hardly where to.",
    "Beyond the outermost quantile levels nothing is claimed.",
    "Daily bars, split-adjusted closes: the drop on an ex-dividend day is not modelled.",
    "Coverage is measured, not guaranteed: intervals follow outcomes with a delay, and foresee no end of a calm.",
    "Scores are of the recipe, walked forward over past sessions. This model itself was trained on most of them.",
)


def make_card(workspace: Workspace, model_id: str) -> dict[str, Any]:
    """Return the card of a saved model as JSON values; `data/README.md` has its keys.

    Raises
    ------
    BundleError
        There is no such model, or its manifest is damaged.
    """
    manifest = read_manifest(workspace.models, model_id)
    registry = Registry(workspace.models)
    history = [entry for entry in registry.entries() if entry.model_id == model_id]
    report = find_report(workspace.backtests, manifest["universe"], manifest["recipe"])
    epochs = manifest["history"]
    return {
        "model_id": model_id,
        "universes": list(dict.fromkeys(entry.universe for entry in history)),
        "serves": [champion.universe for champion in registry.champions() if champion.model_id == model_id],
        "symbols": manifest["universe"],
        "data": {key: manifest.get(key) for key in ("first_session", "trained_until", "fitted_until", "prices_sha256")},
        "recipe": manifest["recipe"],
        "seed": manifest["recipe"]["training"]["seed"],
        "inputs": {"number": manifest["inputs"], "groups": manifest["feature_groups"]},
        "training": {
            "epochs": len(epochs),
            "first_loss": epochs[0]["loss"],
            "last_loss": epochs[-1]["loss"],
            "seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
        },
        "backtest": report and _backtest(report),
        "limits": list(_LIMITS),
        "packages": manifest["packages"],
        "history": [
            {"at": e.at, "kind": e.kind, "universe": e.universe, "reason": e.reason, "numbers": dict(e.numbers)}
            for e in history
        ],
    }


def _backtest(report: BacktestReport) -> dict[str, Any]:
    headline = make_headline(report.scores)
    return {
        "backtest_id": report.backtest_id,
        "test_first": report.test_first,
        "test_last": report.test_last,
        "symbols": len(report.universe),
        "summary": report.summary(),
        "alarms": list(report.alarms),
        "scores": headline.astype(object).where(headline.notna(), None).to_dict("records"),
    }


def card_markdown(card: Mapping[str, Any], *, level: int = 1, written: Callable[[str], str] = str) -> str:
    """Return a card as a page for people.

    Parameters
    ----------
    level : of the page's heading
    written : how texts are written that tickercast did not make itself, such as the names of universes and reasons of
        people; a page that shows Markdown of any kind escapes it in them
    """
    data, training, recipe = card["data"], card["training"], card["recipe"]
    symbols, above, below = card["symbols"], "#" * level, "#" * (level + 1)
    serves, universes = (", ".join(map(written, card[key])) for key in ("serves", "universes"))
    packages = ", ".join(written(f"{name} {version}") for name, version in card["packages"].items())
    more = f" and {len(symbols) - _MOST_SYMBOLS} more" if len(symbols) > _MOST_SYMBOLS else ""
    settings = {**{k: v for k, v in recipe.items() if not isinstance(v, dict)}}
    for part in ("network", "training", "calibration"):
        settings |= {f"{part}.{name}": value for name, value in recipe[part].items()}
    lines = [
        f"{above} Model {card['model_id']}",
        "",
        f"Serves {serves or 'no universe'}; a model of {universes or 'none'}.",
        "",
        f"{below} Made from",
        "",
        f"- Symbols: {len(symbols)} ({', '.join(map(written, symbols[:_MOST_SYMBOLS]))}{more})",
        f"- Prices: sessions {data['first_session']} to {data['fitted_until']}; trained on those up to "
        f"{data['trained_until']}, calibrated from there on",
        f"- SHA-256 of the prices: {data['prices_sha256'] or 'not recorded'}",
        f"- Inputs: {card['inputs']['number']}, of the groups {', '.join(card['inputs']['groups'])}",
        f"- Seed: {card['seed']}",
        f"- Training: {training['epochs']} epochs in {training['seconds']} s, loss {training['first_loss']:.4f} in the "
        f"first and {training['last_loss']:.4f} in the last",
        f"- Packages: {packages}",
        "",
        f"{below} Recipe",
        "",
        *_table(["setting", "value"], [[name, written(_plain(value))] for name, value in settings.items()]),
        "",
        f"{below} Scores",
        "",
        *_scores(card["backtest"], written),
        "",
        f"{below} Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        f"{below} History",
        "",
        *(
            f"- {e['at'][:16].replace('T', ' ')} UTC, {written(e['universe'])}: {e['kind']}. {written(e['reason'])}"
            for e in card["history"]
        ),
    ]
    return "\n".join(lines) + "\n"


def _scores(backtest: Mapping[str, Any] | None, written: Callable[[str], str]) -> list[str]:
    if backtest is None:
        return ["This recipe has not been backtested on this universe, so nothing is known. Next: tickercast backtest"]
    scores = backtest["scores"]
    coverages = [name for name in scores[0] if name.startswith("coverage_")]
    columns = ["ahead", "CRPS", "RW EWMA", "skill", "90% interval", "p", "verdict", "strongest baseline", "skill on it"]
    columns += [f"in {name.removeprefix('coverage_')}%" for name in coverages]
    rows = [
        [
            str(row["horizon"]),
            _number(row["crps"], ".5f"),
            _number(row["crps_judge"], ".5f"),
            _number(row["skill"], "+.1%"),
            f"{_number(row['low'], '+.1%')} to {_number(row['high'], '+.1%')}",
            _number(row["p"], ".3f"),
            row["verdict"],
            row["strongest"],
            _number(row["skill_strongest"], "+.1%"),
            *(_number(row[name], ".1%") for name in coverages),
        ]
        for row in scores
    ]
    return [
        written(backtest["summary"]),
        "",
        *(f"**{written(alarm)}**\n" for alarm in backtest["alarms"]),
        *_table(columns, rows),
        "",
        f"Backtest {backtest['backtest_id']}, every origin from {backtest['test_first']} to {backtest['test_last']}, "
        f"{backtest['symbols']} symbols. CRPS in log return, lower is better. RW EWMA: a random walk with EWMA "
        "volatility, as it is or calibrated, whichever is better; skill: the share of its CRPS that the network saves. "
        "In 80%: the share of outcomes inside that interval.",
    ]


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    header = list(columns)
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _number(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def write_cards(workspace: Workspace, model_ids: Iterable[str]) -> None:
    """Bring the cards of saved models up to date; those of models that are not there are passed over."""
    for model_id in model_ids:
        with suppress(BundleError):
            card = make_card(workspace, model_id)
            for name, text in ((_MARKDOWN, card_markdown(card)), (_JSON, json.dumps(card, indent=1) + "\n")):
                path = workspace.models / model_id / name
                if not path.exists() or path.read_text() != text:
                    write_atomic(path, text)


def read_models(workspace: Workspace) -> list[dict[str, Any]]:
    """Return every saved model of every universe, newest first within it, as JSON values.

    `universe` (null where the registry does not know the model), `model_id`, `state` (`champion`, `former champion` or
    `candidate`), `since` and `reason` of its last entry in the registry; `cell`, `horizon`, `seed` and `fitted_until`,
    or null and the cause in `damaged`.
    """
    registry = Registry(workspace.models)
    entries = registry.entries()
    serving = {(p.universe, p.model_id) for p in registry.champions()}
    served = {(p.universe, p.model_id) for p in registry.promotions()}
    rows = []
    for universe in dict.fromkeys(entry.universe for entry in entries):
        last = {e.model_id: e for e in entries if e.universe == universe}
        for model_id in reversed(registry.models_of(universe)):
            key = universe, model_id
            state = "champion" if key in serving else "former champion" if key in served else "candidate"
            rows.append(_row(workspace, model_id, state, last[model_id]))
    known = {row["model_id"] for row in rows}
    rows += [_row(workspace, m, "candidate", None) for m in list_models(workspace.models) if m not in known]
    return rows


def _row(workspace: Workspace, model_id: str, state: str, last: Entry | None) -> dict[str, Any]:
    row = {
        "universe": last and last.universe,
        "model_id": model_id,
        "state": state,
        **dict.fromkeys(("cell", "horizon", "seed", "fitted_until", "damaged")),
        "since": last and last.at,
        "reason": last and last.reason,
    }
    try:
        manifest, _ = read_bundle(workspace.models, model_id)
    except BundleError as error:
        return row | {"damaged": str(error)}
    recipe = manifest["recipe"]
    return row | {
        "cell": recipe["network"]["cell"],
        "horizon": recipe["horizon"],
        "seed": recipe["training"]["seed"],
        "fitted_until": manifest["fitted_until"],
    }
