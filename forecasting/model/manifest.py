"""What a saved model says of itself: `bundle.json`, readable without torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from forecasting.errors import BundleError

MANIFEST = "bundle.json"
_APART = ("history", "packages")  # what may differ between two fits of the same model


def model_name(content: dict[str, Any]) -> str:
    """Return the ID of a model with this content: its cell, its last session, a hash."""
    counted = {key: value for key, value in content.items() if key not in _APART}
    digest = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
    return f"{content['recipe']['network']['cell']}-{content['fitted_until'].replace('-', '')}-{digest[:10]}"


def damaged_model(model_id: str, found: str) -> BundleError:
    """Return the error that says what is wrong with a model, and what to do."""
    return BundleError(
        f"model {model_id} is damaged: {found}; next: tickercast train, or forecast with another --model "
        "(tickercast status lists them)"
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
            f"model {model_id} is not in {models}; next: tickercast status lists the models there"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_model(model_id, f"{MANIFEST} is not whole ({error!r})") from error
    if name != model_id:
        raise damaged_model(model_id, f"{MANIFEST} was changed after it was written")
    return dict(content)
