"""What a forecast is made of: frozen settings, stored as JSON beside what they produced.

No secret ever enters one. Every rule on a setting is checked where it is built, so that a wrong
setting is refused before any work begins.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from itertools import pairwise
from typing import Any, TypeVar, get_type_hints

from forecasting.errors import UsageError

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99)
"""Quantile levels of every forecast; symmetric, so each pair is a central interval."""

REPORT_HORIZONS = (1, 2, 3, 5, 10, 20)
"""Sessions ahead; see `report_horizons`."""

CELLS = ("rnn", "gru", "lstm", "none")
NONLINEARITIES = ("tanh", "relu")
SCHEDULES = ("one_cycle", "cosine", "constant")
DEVICES = ("auto", "cpu", "cuda", "mps")
MAX_HORIZON = 60

MAX_SEED = 2**32 - 1


def report_horizons(horizon: int) -> tuple[int, ...]:
    """Return the horizons that a forecast up to `horizon` is trained on, scored and printed at.

    >>> report_horizons(20), report_horizons(4)
    ((1, 2, 3, 5, 10, 20), (1, 2, 3, 4))
    """
    return (*(h for h in REPORT_HORIZONS if h < horizon), horizon)


Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while long work runs."""


def no_progress(what: str, done: int, total: int) -> None:
    """Report nothing."""


def _require(holds: bool, asked: str, rule: str) -> None:
    if not holds:
        raise UsageError(f"{asked}: {rule}")


def _require_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= 1 and value == int(value), f"{name} {value}", f"{name} must be a whole number of at least 1")


@dataclass(frozen=True)
class NetworkConfig:
    """The recurrent network: which cell, and how large."""

    cell: str = "rnn"  # the Elman network; gated cells scored no better on daily bars; "none" has no recurrence
    nonlinearity: str = "tanh"  # of the rnn cell; relu scores the same, but its state has no bound
    hidden: int = 64  # 32 and 128 score the same within noise
    layers: int = 1  # a second layer scored worse
    dropout: float = 0.0  # share of hidden units left out between layers and before the head, while training

    def __post_init__(self) -> None:
        _require(self.cell in CELLS, f"cell {self.cell!r}", f"cells are {', '.join(CELLS)}")
        _require(
            self.nonlinearity in NONLINEARITIES,
            f"nonlinearity {self.nonlinearity!r}",
            f"nonlinearities are {', '.join(NONLINEARITIES)}",
        )
        _require(
            self.cell == "rnn" or self.nonlinearity == "tanh",
            f"cell {self.cell} with {self.nonlinearity}",
            "only the rnn cell has a choice of nonlinearity; next: --cell rnn, or leave --nonlinearity out",
        )
        _require_positive(self, "hidden", "layers")
        _require(0 <= self.dropout < 1, f"dropout {self.dropout}", "dropout must lie in [0, 1)")


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is fitted: windows, optimiser, seed."""

    window: int = 120  # sessions per training window
    burn_in: int = 60  # leading steps of a window that carry state but no loss
    epochs: int = 10  # a fixed number generalised better than stopping on a validation year
    batch_size: int = 64  # windows per step
    learning_rate: float = 3e-3  # peak of the schedule
    weight_decay: float = 1e-2
    input_noise: float = 0.5  # standard deviations of noise added to the standardised inputs
    average: float = 0.995  # decay of the moving average of the weights that is kept
    clip_norm: float = 1.0
    seed: int = 0
    tbptt_steps: int | None = None  # truncates backpropagation through time; None goes through the whole window
    schedule: str = "one_cycle"  # of the learning rate
    device: str = "cpu"  # the same bits on every machine of a kind; "auto" takes a GPU where there is one

    def __post_init__(self) -> None:
        _require(self.window >= 2, f"window {self.window}", "a window has at least 2 sessions; next: --window 120")
        _require_positive(self, "burn_in", "epochs", "batch_size")
        _require_positive(self, *(["tbptt_steps"] if self.tbptt_steps is not None else []))
        _require(self.schedule in SCHEDULES, f"schedule {self.schedule!r}", f"schedules are {', '.join(SCHEDULES)}")
        _require(self.device in DEVICES, f"device {self.device!r}", f"devices are {', '.join(DEVICES)}")
        _require(
            self.burn_in < self.window,
            f"window {self.window} with burn_in {self.burn_in}",
            "the window must be longer than its burn-in, which carries no loss",
        )
        _require(0 <= self.seed <= MAX_SEED, f"seed {self.seed}", f"a seed is a whole number from 0 to {MAX_SEED}")


@dataclass(frozen=True)
class CalibrationConfig:
    """How intervals are corrected by outcomes the network was not trained on."""

    sessions: int = 125  # the last ones, kept out of training, where calibration starts; more leave it less to learn
    rate: float = 0.01  # step of the online correction, in units of the volatility scale

    def __post_init__(self) -> None:
        _require_positive(self, "sessions")
        _require(0 <= self.rate <= 1, f"rate {self.rate}", "the rate must lie in [0, 1]")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a model, data aside."""

    horizon: int = 20
    levels: tuple[float, ...] = LEVELS
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)

    def __post_init__(self) -> None:
        _require(
            1 <= self.horizon <= MAX_HORIZON,
            f"horizon {self.horizon}",
            f"a horizon counts sessions ahead, from 1 to {MAX_HORIZON}; next: --horizon 20",
        )
        levels = self.levels
        _require(
            len(levels) % 2 == 1
            and all(0 < low < high < 1 for low, high in pairwise(levels))
            and all(abs(a + b - 1) < 1e-9 for a, b in zip(levels, reversed(levels), strict=True)),
            f"levels {levels}",
            "quantile levels must increase within (0, 1), be symmetric and contain 0.5",
        )


@dataclass(frozen=True)
class BacktestConfig:
    """The walk-forward split: what is fitted on, which sessions are forecast, how often the model is refitted."""

    test_sessions: int = 756  # three years
    refit_every: int | None = 252  # sessions between refits; None fits once
    train_sessions: int | None = None  # the last so many are fitted on; None takes all, from the first
    embargo: int = 0  # sessions left out between what is fitted on and the first test origin

    def __post_init__(self) -> None:
        _require_positive(self, "test_sessions")
        _require_positive(self, *(n for n in ("refit_every", "train_sessions") if getattr(self, n) is not None))
        _require(
            self.embargo >= 0 and self.embargo == int(self.embargo),
            f"embargo {self.embargo}",
            "an embargo is a whole number of sessions, 0 for none",
        )


C = TypeVar("C")


def config_to_json(config: Any) -> dict[str, Any]:
    """Return a dataclass as plain JSON values."""
    return asdict(config)


def config_from_json(kind: type[C], values: Mapping[str, Any]) -> C:
    """Rebuild a configuration of class `kind`; unknown keys are refused."""
    hints = get_type_hints(kind)
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    _require(not unknown, f"settings {unknown} of {kind.__name__}", f"known are {sorted(known)}")
    built: dict[str, Any] = {}
    for name, value in values.items():
        if is_dataclass(hints[name]):
            built[name] = config_from_json(hints[name], value)
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return kind(**built)
