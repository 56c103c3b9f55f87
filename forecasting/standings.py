"""How the models of every universe stand: who serves, how each scored, and what was decided about it and why."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from forecasting.cards import read_models
from forecasting.errors import BundleError
from forecasting.evaluation.finished import find_report
from forecasting.evaluation.report import BacktestReport
from forecasting.evaluation.verdicts import Verdict
from forecasting.model.manifest import read_manifest
from forecasting.registry import Registry
from forecasting.workspace import Workspace

_NUMBERS = ("horizon", "seed", "symbols", "crps", "crps_horizon")


def read_standings(workspace: Workspace) -> pd.DataFrame:
    """Return every saved model of every universe, newest first within it.

    Returns
    -------
    DataFrame
        The columns of `read_models`, and `recipe` in words, number of `symbols`, `first_session` and `trained_until`;
        of the newest backtest of its recipe the CRPS (log return) at the shortest horizon, `crps` at `crps_horizon`,
        and its `verdict` by horizon. Empty, or NaN for numbers, where there is no such thing.
    """
    found: dict[str, BacktestReport | None] = {}
    rows = []
    for row in read_models(workspace):
        manifest: dict[str, Any] = {}
        if row["damaged"] is None:
            try:
                manifest = read_manifest(workspace.models, row["model_id"])
            except BundleError as error:  # deleted since
                row = {**row, "damaged": str(error)}
        rows.append(row | _recipe(manifest) | _backtest(workspace, manifest, found))
    out = pd.DataFrame(rows, columns=None if rows else ["universe", "model_id"])
    numbers = [name for name in _NUMBERS if name in out]
    texts = out.columns.difference(numbers)
    return out.astype(dict.fromkeys(numbers, float)).fillna(dict.fromkeys(texts, ""))


def _recipe(manifest: Mapping[str, Any]) -> dict[str, Any]:
    if not manifest:
        return dict.fromkeys(("recipe", "symbols", "first_session", "trained_until"))
    network, epochs = manifest["recipe"]["network"], manifest["recipe"]["training"]["epochs"]
    return {
        "recipe": f"{network['cell']}, {network['hidden']} units, {epochs} epoch{'s' * (epochs != 1)}",
        "symbols": len(manifest["universe"]),
        "first_session": manifest["first_session"],
        "trained_until": manifest["trained_until"],
    }


def _backtest(
    workspace: Workspace, manifest: Mapping[str, Any], found: dict[str, BacktestReport | None]
) -> dict[str, Any]:
    """Return the scores of a model's recipe; each recipe is looked for once."""
    if not manifest:
        return dict.fromkeys(("crps", "crps_horizon", "verdict"))
    wanted = manifest["universe"], manifest["recipe"]
    key = json.dumps(wanted, sort_keys=True)
    if key not in found:
        found[key] = find_report(workspace.backtests, *wanted)
    report = found[key]
    if report is None:
        return dict.fromkeys(("crps", "crps_horizon", "verdict"))
    own = next(column for column in report.scores if column.startswith("crps_"))
    first = report.scores.iloc[0]
    verdict = ("suspected leak; " if report.suspected_leak else "") + _by_word(report.verdicts())
    return {"crps": first[own], "crps_horizon": first["horizon"], "verdict": verdict}


def _by_word(verdicts: list[Verdict]) -> str:
    """Return verdicts as words, each with the horizons that it holds at."""
    words: dict[str, list[str]] = {}
    for verdict in verdicts:
        words.setdefault(verdict.word.split()[0], []).append(str(verdict.horizon))
    return "; ".join(f"{word} at {', '.join(horizons)}" for word, horizons in words.items())


def read_decisions(workspace: Workspace) -> pd.DataFrame:
    """Return all that the registry says of models, newest first.

    Returns
    -------
    DataFrame
        `at` (UTC instant), `kind`, `universe`, `model_id`, the champion it was `against` (empty without one), `reason`
    """
    rows = [
        (pd.Timestamp(e.at), e.kind, e.universe, e.model_id, e.numbers.get("against", ""), e.reason)
        for e in reversed(Registry(workspace.models).entries())
    ]
    frame = pd.DataFrame(rows, columns=["at", "kind", "universe", "model_id", "against", "reason"])
    return frame.assign(at=pd.to_datetime(frame["at"], utc=True))
