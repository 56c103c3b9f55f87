"""Save and load a model: weights and tensors as safetensors, the rest as JSON with their SHA-256.

A model's folder is named by its content, so the same recipe, seed and data make the same model; an intact
folder is never written again, a damaged one is repaired.
"""

import hashlib
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load, save

from forecasting.config import Recipe, config_from_json, config_to_json, report_horizons
from forecasting.errors import BundleError
from forecasting.model.fitted import FittedModel
from forecasting.model.forecaster import RNNForecaster
from forecasting.model.loop import Epoch
from forecasting.model.manifest import FORMAT, MANIFEST, WEIGHTS, model_name, read_bundle
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale
from forecasting.workspace import write_atomic, write_json


def save_model(forecaster: RNNForecaster, models: Path) -> str:
    """Write a fitted forecaster under a folder of models and return its ID."""
    model = forecaster.model
    tensors = {f"network.{name}": t.contiguous() for name, t in model.network.state_dict().items()}
    tensors["mean"], tensors["std"] = model.mean, model.std
    tensors["scale"] = torch.from_numpy(np.ascontiguousarray(model.scale.coefficients))
    weights = save(tensors)
    content: dict[str, Any] = {
        "format": FORMAT,
        "recipe": config_to_json(forecaster.recipe),
        "inputs": len(model.mean),
        "feature_groups": list(model.feature_groups),
        "universe": list(model.universe),
        "first_session": model.first_session.date().isoformat(),
        "trained_until": model.trained_until.date().isoformat(),
        "fitted_until": model.fitted_until.date().isoformat(),
        "prices_sha256": model.prices_sha256,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    model_id = model_name(content)
    with suppress(BundleError):  # the same model, intact: a published folder is left alone
        load_model(models, model_id)
        return model_id
    folder = models / model_id
    packages = {name: version(name) for name in ("tickercast", "torch", "numpy", "pandas")}
    history = [asdict(epoch) for epoch in model.history]
    write_atomic(folder / WEIGHTS, weights)
    # the manifest last: a folder without one was never published
    write_json(folder / MANIFEST, {**content, "history": history, "packages": packages})
    return model_id


def load_model(models: Path, model_id: str) -> RNNForecaster:
    """Return the forecaster saved under an ID.

    Raises
    ------
    BundleError
        It is missing, its weights differ from their SHA-256, or another version of tickercast wrote it.
    """
    manifest, weights = read_bundle(models, model_id)
    return _rebuild(manifest, load(weights))


def _rebuild(manifest: dict[str, Any], tensors: dict[str, torch.Tensor]) -> RNNForecaster:
    recipe = config_from_json(Recipe, manifest["recipe"])
    network = QuantileNetwork(recipe.network, manifest["inputs"], len(report_horizons(recipe.horizon)), recipe.levels)
    prefix = "network."
    network.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    network.eval()
    return RNNForecaster(
        recipe,
        FittedModel(
            network,
            tensors["mean"],
            tensors["std"],
            HarScale(tensors["scale"].numpy()),
            tuple(manifest["universe"]),
            pd.Timestamp(manifest["trained_until"]),
            pd.Timestamp(manifest["first_session"]),
            pd.Timestamp(manifest["fitted_until"]),
            manifest.get("prices_sha256", ""),
            tuple(manifest["feature_groups"]),
            tuple(Epoch(**epoch) for epoch in manifest["history"]),
        ),
    )
