"""What a saved model says of itself: `bundle.json`, readable without torch."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from forecasting.config import Recipe, config_from_json
from forecasting.errors import BundleError, UsageError
from forecasting.model.features import GROUPS

MANIFEST, WEIGHTS = "bundle.json", "weights.safetensors"
FORMAT = 2
_APART = ("history", "packages")  # what may differ between two fits of the same model


def model_name(content: dict[str, Any]) -> str:
    """Return the ID of a model with this content: its cell, its last session, a hash."""
    counted = {key: value for key, value in content.items() if key not in _APART}
    digest = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
    return f"{content['recipe']['network']['cell']}-{content['fitted_until'].replace('-', '')}-{digest[:10]}"


def _damaged(model_id: str, found: str) -> BundleError:
    return BundleError(
        f"model {model_id} is damaged: {found}; next: tickercast train, or forecast with another --model "
        "(tickercast models list has them)"
    )


def read_manifest(models: Path, model_id: str) -> dict[str, Any]:
    """Return the content of a saved model's `bundle.json`; `data/README.md` has its keys.

    Raises
    ------
    BundleError
        There is no such model, or the file is not what was written under this ID.
    """
    path = models / model_id / MANIFEST
    try:
        content = json.loads(path.read_text())
        name = model_name(content)
    except FileNotFoundError as error:
        raise BundleError(
            f"model {model_id} is not in {models}; next: tickercast models list names the models there"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(model_id, f"{MANIFEST} is not whole ({error!r})") from error
    if name != model_id:
        raise _damaged(model_id, f"{MANIFEST} was changed after it was written")
    return dict(content)


def read_bundle(models: Path, model_id: str) -> tuple[dict[str, Any], bytes]:
    """Return the manifest and the weights of a saved model that is whole.

    Raises
    ------
    BundleError
        It is missing, its weights differ from their SHA-256, or another version of tickercast wrote it.
    """
    manifest = read_manifest(models, model_id)
    found = (manifest["format"], manifest["feature_groups"])
    if found != (FORMAT, list(GROUPS)):
        raise BundleError(
            f"model {model_id} has format {found[0]} and inputs {found[1]}, this tickercast reads format {FORMAT} and "
            f"{list(GROUPS)}; next: tickercast train"
        )
    try:
        weights = (models / model_id / WEIGHTS).read_bytes()
    except OSError as error:
        raise _damaged(model_id, f"{WEIGHTS} cannot be read ({error.strerror})") from error
    if (digest := hashlib.sha256(weights).hexdigest()) != manifest["weights_sha256"]:
        raise _damaged(
            model_id,
            f"the SHA-256 of {WEIGHTS} is {digest[:12]}…, {MANIFEST} says {manifest['weights_sha256'][:12]}…",
        )
    return manifest, weights


def list_models(models: Path) -> list[str]:
    """Return the IDs of the saved models, damaged ones too, in order."""
    return sorted(path.parent.name for path in models.glob(f"*/{MANIFEST}"))


def find_models(models: Path, recipe: Recipe, universe: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the manifests of all models of a recipe on exactly these symbols, by ID; damaged ones are passed over."""
    found = {}
    for model_id in list_models(models):
        with suppress(BundleError, UsageError):
            manifest = read_manifest(models, model_id)
            if set(manifest["universe"]) == set(universe) and config_from_json(Recipe, manifest["recipe"]) == recipe:
                found[model_id] = manifest
    return found
