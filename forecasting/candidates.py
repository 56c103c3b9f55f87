"""From prices to the model that serves: fit a candidate, let it meet the champion, keep what is worth keeping."""

import hashlib
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forecasting.bars import PriceSeries, hash_prices
from forecasting.cards import write_cards
from forecasting.config import Progress, Recipe
from forecasting.errors import BundleError
from forecasting.evaluation.contest import Decision, contest_recipe, contest_refresh, is_refresh
from forecasting.evaluation.workers import Workers, workers_for
from forecasting.ledger import Ledger
from forecasting.model.bundle import load_model, save_model
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.manifest import find_models, read_bundle
from forecasting.registry import Registry
from forecasting.steps import Clock
from forecasting.universe import Universe
from forecasting.workspace import Workspace

KEPT = 10
"""Newest models of a universe that are never pruned."""


@dataclass(frozen=True)
class Candidate:
    """A fitted and registered model; `trained` is false where that very model was there already."""

    model_id: str
    forecaster: RNNForecaster
    trained: bool


@dataclass(frozen=True)
class TrainingReport:
    """What came of training a candidate.

    Parameters
    ----------
    universe : its name
    model_id : the candidate
    trained : false where the same recipe and prices had made it before
    champion : the model that serves now
    promoted : whether that is the candidate, since just now
    reason, numbers : of that decision, or of the earlier one that stands; see `Decision`
    pruned : old candidates that were deleted
    """

    universe: str
    model_id: str
    trained: bool
    champion: str
    promoted: bool
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    pruned: tuple[str, ...] = ()


def train_candidate(
    workspace: Workspace,
    universe: Universe,
    series: Mapping[str, PriceSeries],
    recipe: Recipe,
    progress: Progress,
    clock: Clock,
    workers: Workers | None = None,
) -> TrainingReport:
    """Fit a candidate for a universe and settle whether it serves; the two steps below, in order."""
    candidate = fit_candidate(workspace, universe, series, recipe, progress, clock)
    return settle_candidate(workspace, universe, candidate, series, progress, clock, workers)


def fit_candidate(
    workspace: Workspace,
    universe: Universe,
    series: Mapping[str, PriceSeries],
    recipe: Recipe,
    progress: Progress,
    clock: Clock,
) -> Candidate:
    """Return what `find_or_fit` does, registered."""
    candidate = find_or_fit(workspace, universe, series, recipe, progress)
    model = candidate.forecaster.model
    Registry(workspace.models).register(
        universe,
        candidate.model_id,
        clock(),
        f"trained on {len(model.universe)} {'symbol' if len(model.universe) == 1 else 'symbols'}, sessions "
        f"{model.first_session.date()} to {model.trained_until.date()}; prices known up to {model.fitted_until.date()}",
        {"prices_sha256": model.prices_sha256},
    )
    return candidate


def find_or_fit(
    workspace: Workspace,
    universe: Universe,
    series: Mapping[str, PriceSeries],
    recipe: Recipe,
    progress: Progress,
) -> Candidate:
    """Return the model that a recipe makes of price series by symbol, saved.

    Where the same recipe and prices have made it before, nothing is trained. Killed, training goes on after its last
    finished epoch.

    Raises
    ------
    TooFewBars, Diverged
        As `RNNForecaster.fit`; nothing is saved.
    """
    if (candidate := _find(workspace, series, recipe, hash_prices(series))) is not None:
        return candidate
    checkpoint = _unfinished(workspace, universe) / "checkpoint.safetensors"
    forecaster = RNNForecaster(recipe).fit(series, progress, checkpoint)
    return Candidate(save_model(forecaster, workspace.models), forecaster, True)


def settle_candidate(
    workspace: Workspace,
    universe: Universe,
    candidate: Candidate,
    series: Mapping[str, PriceSeries],
    progress: Progress,
    clock: Clock,
    workers: Workers | None = None,
) -> TrainingReport:
    """Decide whether a candidate serves its universe from now on, write the cards, and prune old candidates.

    The first model of a universe serves it, and one whose champion cannot be read. Else the rules are those of
    `forecasting.evaluation.contest`. What was decided about a model before stands, a rollback by hand too.

    Parameters
    ----------
    series : that the candidate was fitted on
    workers : where the folds of a new recipe's contest run
    """
    registry, model_id = Registry(workspace.models), candidate.model_id
    champion = registry.champion_of(universe.name)
    earlier = registry.decision_on(universe.name, model_id)
    if champion is None:
        decision = Decision(True, "first model of this universe")
        registry.promote(universe, model_id, clock(), decision.reason)
    elif earlier is not None and _damage(workspace, champion.model_id) is None:
        decision = Decision(False, f"decided on {earlier.at[:10]}: {earlier.reason}", earlier.numbers)
    else:
        decision = _contest(workspace, universe, champion.model_id, candidate, series, progress, workers)
        decision = replace(decision, numbers={**decision.numbers, "against": champion.model_id})
        registry.decide(universe, model_id, clock(), decision)
    shutil.rmtree(_unfinished(workspace, universe), ignore_errors=True)
    with suppress(OSError):  # something of another universe is there
        workspace.training.rmdir()
    before = champion.model_id if champion else model_id
    write_cards(workspace, dict.fromkeys((model_id, before)))
    return TrainingReport(
        universe.name,
        model_id,
        candidate.trained,
        model_id if decision.promote else before,
        decision.promote,
        decision.reason,
        decision.numbers,
        prune_candidates(workspace, universe, clock),
    )


def prune_candidates(workspace: Workspace, universe: Universe, clock: Clock) -> tuple[str, ...]:
    """Delete candidates of a universe that are not among its `KEPT` newest models; return their IDs.

    Never one that serves or served any universe, is among the newest of another one, or is named by a forecast in the
    ledger. Recorded first, so that a deletion that was killed is completed by the next one.
    """
    registry = Registry(workspace.models)
    entries = registry.entries()
    newest = {m for name in {e.universe for e in entries} for m in registry.models_of(name)[-KEPT:]}
    spared = newest | {p.model_id for p in registry.promotions()}
    old = [m for m in registry.models_of(universe.name) if m not in spared]
    if old:
        named = set(Ledger(workspace.ledger).read(columns=["model_id"])["model_id"])
        old = [m for m in old if m not in named]
    if old:
        registry.prune(universe, old, clock(), f"never served, no forecast names it, and {KEPT} newer models are there")
    _delete_pruned(workspace.models, registry)
    return tuple(old)


def _delete_pruned(models: Path, registry: Registry) -> None:
    """Delete the folders of models that the registry has as pruned, those of a killed deletion too."""
    last = {(e.universe, e.model_id): e.kind for e in registry.entries()}
    pruned = {model_id for (_, model_id), kind in last.items() if kind == "pruning"}
    pruned -= {model_id for (_, model_id), kind in last.items() if kind != "pruning"}
    out_of_sight = models / ".pruned"
    shutil.rmtree(out_of_sight, ignore_errors=True)
    for model_id in pruned:
        if (folder := models / model_id).exists():
            out_of_sight.mkdir(exist_ok=True)
            folder.rename(out_of_sight / model_id)
    shutil.rmtree(out_of_sight, ignore_errors=True)


def _find(
    workspace: Workspace, series: Mapping[str, PriceSeries], recipe: Recipe, prices_sha256: str
) -> Candidate | None:
    for model_id, manifest in find_models(workspace.models, recipe, list(series)).items():
        if manifest.get("prices_sha256") == prices_sha256:
            with suppress(BundleError):  # damaged: training again repairs it
                return Candidate(model_id, load_model(workspace.models, model_id), False)
    return None


def _contest(
    workspace: Workspace,
    universe: Universe,
    champion_id: str,
    candidate: Candidate,
    series: Mapping[str, PriceSeries],
    progress: Progress,
    workers: Workers | None,
) -> Decision:
    if cause := _damage(workspace, champion_id):
        return Decision(True, f"the champion cannot be read, so there is nothing to compare with: {cause}")
    champion, recipe = load_model(workspace.models, champion_id), candidate.forecaster.recipe
    if is_refresh(recipe, champion.recipe):
        return contest_refresh(champion, candidate.forecaster, series)
    tried = Registry(workspace.models).tried_blocks(universe.name)
    workers = workers or workers_for(sum(map(len, series.values())))
    parts = _unfinished(workspace, universe) / f"{champion_id}-{candidate.model_id}"
    return contest_recipe(champion.recipe, recipe, series, tried, progress=progress, workers=workers, parts=parts)


def _damage(workspace: Workspace, model_id: str) -> str | None:
    """Return why a saved model cannot be read; None where it is whole."""
    try:
        read_bundle(workspace.models, model_id)
    except BundleError as error:
        return str(error).partition("; next:")[0]
    return None


def _unfinished(workspace: Workspace, universe: Universe) -> Path:
    """Return the folder of what a training of a universe keeps until it has ended."""
    return workspace.training / hashlib.sha256(universe.name.encode()).hexdigest()[:10]
