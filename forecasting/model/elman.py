"""The Elman recurrence as one operation, time-major: nn.RNN's values and gradients in less time.

    h_t = f(W_hh h_{t-1} + W_xh x_t + b_h)

Every step writes into its own row of one tensor, and the recurrent weight's gradient is one product over all
steps instead of a sum of T small ones.

B sequences, T steps, F inputs, U hidden units.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _Steps(torch.autograd.Function):
    """All steps of one layer, forwards and back through time."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias: Tensor, h: Tensor, relu: bool
    ) -> Tensor:
        """Map inputs (T, B, F) and the state before them (B, U) to hidden units (T, B, U)."""
        across = weight_hh.t()
        # W_xh x_t + b_h of all steps; each row then becomes its own h_t
        states = torch.addmm(bias, x.reshape(-1, x.shape[-1]), weight_ih.t()).view(*x.shape[:2], -1)
        before = h
        for state in states.unbind():
            state.addmm_(before, across)
            state.relu_() if relu else state.tanh_()
            before = state
        ctx.save_for_backward(x, weight_ih, weight_hh, h, states)
        ctx.relu = relu
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients by inputs, weights, bias and first state."""
        x, weight_ih, weight_hh, h, states = ctx.saved_tensors
        slope = states.gt(0).to(states.dtype) if ctx.relu else torch.mul(states, states).neg_().add_(1)
        # from what reaches h_t directly to what reaches the sum inside f, last step first
        delta = d_states.clone(memory_format=torch.contiguous_format)
        rows, slopes = delta.unbind(), slope.unbind()
        rows[-1].mul_(slopes[-1])
        for t in range(len(rows) - 2, -1, -1):
            rows[t].addmm_(rows[t + 1], weight_hh).mul_(slopes[t])
        flat = delta.view(-1, delta.shape[-1])
        n_batch = h.shape[0]
        d_weight_hh = rows[0].t() @ h
        d_weight_hh.addmm_(flat[n_batch:].t(), states.view(-1, states.shape[-1])[:-n_batch])
        d_x = (flat @ weight_ih).view_as(x) if ctx.needs_input_grad[0] else None
        d_h = rows[0] @ weight_hh if ctx.needs_input_grad[4] else None
        return d_x, flat.t() @ x.reshape(-1, x.shape[-1]), d_weight_hh, flat.sum(0), d_h, None


class Elman(nn.RNN):
    """nn.RNN of one direction, batch first, trained in less time; weights of one fit the other.

    The hidden units it returns are a view of time-major memory.
    """

    def __init__(
        self, inputs: int, hidden: int, num_layers: int = 1, nonlinearity: str = "tanh", dropout: float = 0.0
    ) -> None:
        super().__init__(inputs, hidden, num_layers, nonlinearity=nonlinearity, dropout=dropout, batch_first=True)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Map (B, T, F) and a state (layers, B, U) to hidden units (B, T, U) and the state after them."""
        if x.device.type != "cpu":
            return super().forward(x, state)  # cuDNN runs all steps in one call
        if state is None:
            state = x.new_zeros(self.num_layers, x.shape[0], self.hidden_size)
        steps, last = x.transpose(0, 1), []  # (T, B, F)
        for layer, before in enumerate(state.unbind()):
            if layer:
                steps = nn.functional.dropout(steps, self.dropout, self.training)
            w_ih, w_hh, b_ih, b_hh = self.all_weights[layer]
            steps = _Steps.apply(steps, w_ih, w_hh, b_ih + b_hh, before, self.nonlinearity == "relu")  # type: ignore[no-untyped-call]
            last.append(steps[-1])
        return steps.transpose(0, 1), torch.stack(last)
