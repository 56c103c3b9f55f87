"""Training that goes on where it was killed: its whole state after an epoch, in one safetensors file.

What the file says of itself stands in its header as JSON. A file of another training (other settings, data or
first weights), or one that cannot be read, is left alone until the first epoch of this one replaces it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from forecasting.workspace import write_atomic


@dataclass(frozen=True)
class Checkpoint:
    """Where a training keeps its state.

    Parameters
    ----------
    path : a file; it is removed once training has ended
    training : says which training it is, see `fingerprint`
    """

    path: Path
    training: str

    def write(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Replace what was kept; a kill at any instant leaves the old or the new state, whole."""
        content = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        said = json.dumps({"training": self.training, **facts})
        write_atomic(self.path, save(content, metadata={"state": said}))

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return what this training kept, None if it kept nothing."""
        try:
            with safe_open(self.path, framework="pt") as file:
                facts = json.loads(file.metadata()["state"])
                if facts.pop("training") != self.training:
                    return None
                return {name: file.get_tensor(name).clone() for name in file.keys()}, facts  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return None

    def remove(self) -> None:
        """Forget the state."""
        self.path.unlink(missing_ok=True)


def fingerprint(settings: object, tensors: Iterable[Tensor]) -> str:
    """Return the SHA-256 of settings and of tensors: what training starts from."""
    digest = hashlib.sha256(repr(settings).encode())
    for tensor in tensors:
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
