"""Save and load a fitted estimator: numbers as safetensors with their SHA-256, the rest as JSON."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from forecasting.config import NetworkConfig
from forecasting.errors import BundleError, UsageError
from forecasting.model.heads import Head, Identity, make_class_head
from forecasting.model.loop import Epoch
from forecasting.model.networks import WindowNetwork
from forecasting.workspace import write_atomic, write_json

FORMAT = 1
_ARRAYS = ("mean_", "std_", "target_mean_", "target_std_")
_WEIGHTS, _MANIFEST = "weights.safetensors", "estimator.json"


def make_network(estimator: Any, features: int, head: Head) -> WindowNetwork:
    """Return the untrained network of an estimator's parameters."""
    config = NetworkConfig(
        estimator.cell, estimator.nonlinearity, estimator.hidden, estimator.layers, estimator.dropout
    )
    return WindowNetwork(config, features, head, estimator.tbptt_steps)


def write_estimator(estimator: Any, folder: Path) -> None:
    """Write a fitted estimator into a folder; the manifest last, so that what has one is whole.

    Raises
    ------
    UsageError
        A parameter or a class label has no JSON form.
    """
    tensors = {f"network.{name}": t.contiguous() for name, t in estimator.network_.state_dict().items()}
    tensors |= {name: torch.tensor(getattr(estimator, name)) for name in _ARRAYS if hasattr(estimator, name)}
    weights = save(tensors)
    parameters = estimator.get_params()
    if parameters["checkpoint"] is not None:
        parameters["checkpoint"] = str(parameters["checkpoint"])
    classes = getattr(estimator, "classes_", None)
    manifest = {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
        "window_shape": list(estimator.window_shape_),
        "features_in": estimator.n_features_in_,
        "feature_names": list(getattr(estimator, "feature_names_in_", ())) or None,
        "outputs": estimator.network_.head.raw,
        "classes": None if classes is None else [_plain(c) for c in classes.tolist()],
        "classes_type": None if classes is None else classes.dtype.str,
        "history": [asdict(epoch) for epoch in estimator.history_],
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_atomic(folder / _WEIGHTS, weights)
    write_json(folder / _MANIFEST, manifest)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UsageError(f"{value!r} cannot be saved: parameters and classes are numbers, texts or None")
    return value


def read_estimator(kind: Any, folder: Path) -> Any:
    """Return the estimator of class `kind` saved in a folder; raises `BundleError` as its `load` says."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        weights = (folder / _WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise BundleError(f"no whole estimator in {folder} ({error}); next: fit it again and save it") from error
    found = (manifest.get("format"), manifest.get("class"))
    if found != (FORMAT, kind.__name__):
        raise BundleError(
            f"{folder} has format {found[0]} and a {found[1]}, this reads format {FORMAT} and a {kind.__name__}"
        )
    if hashlib.sha256(weights).hexdigest() != manifest["weights_sha256"]:
        raise BundleError(f"{folder / _WEIGHTS} is damaged: its SHA-256 differs; next: fit it again and save it")
    tensors = load(weights)
    estimator = kind(**manifest["parameters"])
    classes = manifest["classes"]
    head = Identity(manifest["outputs"]) if classes is None else make_class_head(len(classes))
    for name in _ARRAYS:
        if name in tensors:
            setattr(estimator, name, tensors[name].numpy()[()])
    if classes is not None:
        estimator.classes_ = np.array(classes, dtype=manifest["classes_type"])
    if manifest["feature_names"]:
        estimator.feature_names_in_ = np.array(manifest["feature_names"], dtype=object)
    estimator.n_features_in_ = manifest["features_in"]
    estimator.window_shape_ = tuple(manifest["window_shape"])
    estimator.history_ = [Epoch(**epoch) for epoch in manifest["history"]]
    estimator.network_ = make_network(estimator, len(estimator.mean_), head)
    prefix = "network."
    estimator.network_.load_state_dict(
        {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    )
    estimator.network_.eval()
    return estimator
