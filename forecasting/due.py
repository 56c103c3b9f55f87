"""Whether a model of a universe is to be trained, by the age of the newest one of the same recipe."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecasting.config import Recipe, config_from_json
from forecasting.errors import BundleError, UsageError
from forecasting.model.manifest import read_bundle
from forecasting.registry import Registry
from forecasting.universe import Universe
from forecasting.workspace import Workspace

TRAIN_EVERY = 20
"""Sessions after which a model is trained anew."""


@dataclass(frozen=True)
class Due:
    """Whether a model is to be trained, and why, or why not."""

    train: bool
    reason: str


def champion_recipe(workspace: Workspace, registry: Registry, universe: Universe) -> Recipe:
    """Return the recipe of a universe's champion; the default one where there is none that is whole."""
    champion = registry.champion_of(universe.name)
    if champion is not None:
        with suppress(BundleError, UsageError):
            manifest, _ = read_bundle(workspace.models, champion.model_id)
            return config_from_json(Recipe, manifest["recipe"])
    return Recipe()


def find_due(
    workspace: Workspace,
    registry: Registry,
    universe: Universe,
    recipe: Recipe,
    sessions: pd.DatetimeIndex,
    train_every: int = TRAIN_EVERY,
) -> Due:
    """Return whether a model of a recipe is to be trained.

    It is where the universe has no champion that is whole, no model of this recipe, or where `train_every` sessions
    have come since the newest of these. One that was not promoted counts, or each evening would train another; one on
    which nothing was decided, because the run that trained it was killed, does not.

    Parameters
    ----------
    registry : of the universe's models
    sessions : ascending; all dates on which any symbol of the universe has a bar
    """
    champion = registry.champion_of(universe.name)
    if champion is None:
        return Due(True, "the universe has no model yet")
    try:
        read_bundle(workspace.models, champion.model_id)
    except BundleError as error:
        return Due(True, f"the champion cannot be read ({str(error).partition('; next:')[0]})")
    newest = max(_fitted_until(workspace, registry, universe, recipe), default=None)
    if newest is None:
        return Due(True, "no model has been trained by this recipe")
    age = int((sessions > newest).sum())
    if age >= train_every:
        return Due(True, f"{age} sessions have come since the newest model, {train_every} make one due")
    return Due(False, f"no training is due: {age} of {train_every} sessions have come since {newest.date()}")


def _fitted_until(
    workspace: Workspace, registry: Registry, universe: Universe, recipe: Recipe
) -> Iterator[pd.Timestamp]:
    """Yield the last session of each of a universe's models of a recipe that are whole and were decided on."""
    decided = (m for m in registry.models_of(universe.name) if registry.decision_on(universe.name, m))
    for model_id in decided:
        with suppress(BundleError, UsageError):
            manifest: dict[str, Any] = read_bundle(workspace.models, model_id)[0]
            if config_from_json(Recipe, manifest["recipe"]) == recipe:
                yield pd.Timestamp(manifest["fitted_until"])
