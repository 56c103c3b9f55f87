"""Save and load a model: weights and tensors as safetensors, the rest as JSON with their SHA-256.

A model's folder is named by its content, so the same recipe, seed and data make the same model, and a
folder once published is never changed. Nothing is unpickled.
"""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load, save

from forecasting.config import Recipe, config_from_json, config_to_json
from forecasting.errors import BundleError
from forecasting.model.features import GROUPS
from forecasting.model.forecaster import FittedModel, RNNForecaster, knot_horizons
from forecasting.model.networks import QuantileNetwork
from forecasting.model.scale import HarScale
from forecasting.model.training import Epoch
from forecasting.workspace import write_atomic, write_json

FORMAT = 1
_WEIGHTS, _MANIFEST = "weights.safetensors", "bundle.json"


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
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    model_id = _name(content)
    folder = models / model_id
    if not (folder / _MANIFEST).exists():
        packages = {name: version(name) for name in ("tickercast", "torch", "numpy", "pandas")}
        history = [asdict(epoch) for epoch in model.history]
        write_atomic(folder / _WEIGHTS, weights)
        # the manifest last: a folder without one was never published
        write_json(folder / _MANIFEST, {**content, "history": history, "packages": packages})
    return model_id


def _name(content: dict[str, Any]) -> str:
    """Return the ID of a model with this content: its cell, its last session, a hash."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{content['recipe']['network']['cell']}-{content['fitted_until'].replace('-', '')}-{digest[:10]}"


def load_model(models: Path, model_id: str) -> RNNForecaster:
    """Return the forecaster saved under an ID.

    Raises
    ------
    BundleError
        It is missing, its weights differ from their SHA-256, or another version of tickercast wrote it.
    """
    folder = models / model_id
    advice = "next: tickercast train, or forecast with another --model (tickercast status lists them)"
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        weights = (folder / _WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise BundleError(f"model {model_id} cannot be read from {folder} ({error}); {advice}") from error
    try:
        if manifest["format"] != FORMAT or manifest["feature_groups"] != list(GROUPS):
            raise BundleError(
                f"model {model_id} has format {manifest['format']} and inputs {manifest['feature_groups']}, this "
                f"tickercast reads format {FORMAT} and {list(GROUPS)}; {advice}"
            )
        found = hashlib.sha256(weights).hexdigest()
        if found != manifest["weights_sha256"]:
            raise BundleError(
                f"model {model_id} is damaged: the SHA-256 of {_WEIGHTS} is {found[:12]}…, its bundle says "
                f"{manifest['weights_sha256'][:12]}…; {advice}"
            )
        content = {k: v for k, v in manifest.items() if k not in {"history", "packages"}}
        if _name(content) != model_id:
            raise BundleError(f"model {model_id} is damaged: {_MANIFEST} was changed after it was written; {advice}")
        return _rebuild(manifest, load(weights))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BundleError(f"model {model_id} is damaged: {_MANIFEST} is not whole ({error!r}); {advice}") from error


def _rebuild(manifest: dict[str, Any], tensors: dict[str, torch.Tensor]) -> RNNForecaster:
    recipe = config_from_json(Recipe, manifest["recipe"])
    network = QuantileNetwork(recipe.network, manifest["inputs"], len(knot_horizons(recipe.horizon)), recipe.levels)
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
            tuple(manifest["feature_groups"]),
            tuple(Epoch(**epoch) for epoch in manifest["history"]),
        ),
    )
