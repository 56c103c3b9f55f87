"""AdamW (Loshchilov and Hutter, 2019), as torch computes it.

torch's own class does the same, but its first use imports torch's compiler, which nothing here uses: a second, and
100 MB, in every process that trains.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw

_BETA, _EPSILON = 0.999, 1e-8  # decay of the second moment, and what keeps a division by it finite


class AdamW:
    """The weights of a network and what their next step depends on.

    Parameters
    ----------
    weights : on their device
    weight_decay
    """

    def __init__(self, weights: Iterable[Tensor], weight_decay: float) -> None:
        self._weights = list(weights)
        self._weight_decay = weight_decay
        self._fused = self._weights[0].device.type != "mps"
        counted_on = self._weights[0].device if self._fused else "cpu"
        self._first = [torch.zeros_like(w) for w in self._weights]
        self._second = [torch.zeros_like(w) for w in self._weights]
        self._steps = [torch.zeros((), device=counted_on) for _ in self._weights]

    @torch.no_grad()
    def step(self, rate: float, beta: float) -> None:
        """Move the weights by their gradients; a learning rate, and the decay of the first moment."""
        adamw(
            self._weights,
            [w.grad for w in self._weights if w.grad is not None],
            self._first,
            self._second,
            [],
            self._steps,
            fused=self._fused,
            foreach=False,
            amsgrad=False,
            beta1=beta,
            beta2=_BETA,
            lr=rate,
            weight_decay=self._weight_decay,
            eps=_EPSILON,
            maximize=False,
        )

    def forget_gradients(self) -> None:
        """Leave no gradient for the next one to be added to."""
        for weight in self._weights:
            weight.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return what `take_up` needs to go on, by name."""
        kept = {"step": self._steps, "exp_avg": self._first, "exp_avg_sq": self._second}
        return {f"{i}.{name}": t for name, tensors in kept.items() for i, t in enumerate(tensors)}

    def take_up(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` returned."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
