"""RNNRegressor and RNNClassifier: the recurrent network as scikit-learn estimators on windows.

A window is what came before a sample. Rows of a 2-D X are windows of one variable, the steps in their columns;
a 3-D X is (windows, steps, features). Rows are taken to lie in the order of time where that matters: early
stopping is judged by the last of them, never by a random part.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from torch import Tensor, nn

from forecasting.config import MAX_SEED, SCHEDULES
from forecasting.errors import Diverged, UsageError
from forecasting.model.allocator import keeping_freed_memory
from forecasting.model.checkpoints import Checkpoint, fingerprint
from forecasting.model.devices import choose_device, one_thread
from forecasting.model.estimator_files import make_network, read_estimator, write_estimator
from forecasting.model.heads import Head, Identity, make_class_head
from forecasting.model.loop import Epoch, LoopConfig, run_epochs
from forecasting.model.networks import WindowNetwork

_ROWS = 4096  # windows predicted at a time


class _RNNEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: windows in, a fitted network, files."""

    network_: WindowNetwork
    history_: list[Epoch]
    mean_: np.ndarray
    std_: np.ndarray
    window_shape_: tuple[int, ...]

    def __init__(
        self,
        hidden: int = 32,
        cell: str = "rnn",
        nonlinearity: str = "tanh",
        layers: int = 1,
        dropout: float = 0.0,
        epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 1e-2,
        schedule: str = "one_cycle",
        weight_decay: float = 1e-2,
        clip_norm: float = 1.0,
        tbptt_steps: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.2,
        patience: int = 10,
        warm_start: bool = False,
        device: str = "auto",
        checkpoint: str | Path | None = None,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.cell = cell
        self.nonlinearity = nonlinearity
        self.layers = layers
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.tbptt_steps = tbptt_steps
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.warm_start = warm_start
        self.device = device
        self.checkpoint = checkpoint
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def save(self, folder: str | Path) -> None:
        """Write the fitted estimator: weights as safetensors, the rest as JSON, nothing pickled."""
        check_is_fitted(self)
        write_estimator(self, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return the estimator that was saved in a folder.

        Raises
        ------
        BundleError
            It is missing or damaged, another version wrote it, or it is not of this class.
        """
        return read_estimator(cls, Path(folder))

    def _windows(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        return X[..., None] if X.ndim == 2 else X

    def _fit(self, windows: np.ndarray, targets: Tensor, head: Head) -> None:
        """Train on windows (N, T, F) and targets; where training goes on from earlier weights, its scale stays."""
        if windows.ndim != 3:
            raise UsageError(f"X of {windows.ndim} dimensions: windows are 2-D, or (windows, steps, features)")
        if self.schedule not in SCHEDULES:
            raise UsageError(f"schedule {self.schedule!r}: schedules are {', '.join(SCHEDULES)}")
        device, n_train = choose_device(self.device), self._n_train(len(windows))
        # the same draw for the weights and for all that follows, whatever was drawn elsewhere
        seed = int(check_random_state(self.random_state).randint(MAX_SEED // 2))
        goes_on = self.warm_start and hasattr(self, "network_")
        if goes_on and (windows.shape[2], head.raw) != (len(self.mean_), self.network_.head.raw):
            raise UsageError(
                f"warm start on {windows.shape[2]} features and {head.raw} outputs: the fitted network has "
                f"{len(self.mean_)} and {self.network_.head.raw}; next: warm_start=False"
            )
        if not goes_on:
            self.mean_ = windows[:n_train].mean(axis=(0, 1))
            spread = windows[:n_train].std(axis=(0, 1))
            self.std_ = np.where(spread > 1e-12 * np.abs(self.mean_), spread, 1.0)  # a constant says nothing
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                self.network_ = make_network(self, windows.shape[2], head)
        self.window_shape_ = windows.shape[1:]
        self.history_ = self.history_ if goes_on else []
        x = torch.from_numpy(((windows - self.mean_) / self.std_).astype("float32"))
        loop = LoopConfig(
            self.epochs,
            self.learning_rate,
            self.weight_decay,
            0.9,  # a moving average of about ten steps
            self.clip_norm,
            self.schedule,
            seed,
            self.patience if self.early_stopping else None,
        )
        kept = None
        if self.checkpoint is not None:
            given = [x, targets, *self.network_.parameters()]
            kept = Checkpoint(Path(self.checkpoint), fingerprint((loop, self.batch_size, n_train), given))
        try:
            with one_thread(), keeping_freed_memory():
                self.history_ += self._train(x.to(device), targets.to(device), n_train, loop, kept)
        except Diverged as error:
            self.history_ += error.history
            raise
        finally:
            self.network_.cpu().eval()

    def _n_train(self, n: int) -> int:
        """Return how many of the first rows are trained on; the rest, later, judge when to stop."""
        if not self.early_stopping:
            return n
        n_train = n - round(n * self.validation_fraction)
        if not 0 < n_train < n:
            raise UsageError(
                f"validation_fraction {self.validation_fraction} of {n} windows: both parts need one; next: more "
                "windows, or early_stopping=False"
            )
        return n_train

    def _train(
        self, x: Tensor, targets: Tensor, n_train: int, loop: LoopConfig, checkpoint: Checkpoint | None
    ) -> list[Epoch]:
        network = self.network_.to(x.device)

        def batches(epoch: int) -> list[np.ndarray]:
            rows = np.random.default_rng([loop.seed, epoch]).permutation(n_train)
            return np.split(rows, range(self.batch_size, n_train, self.batch_size))

        def loss_of(rows: Tensor) -> Tensor:
            return network.head.loss(network(x[rows]), targets[rows])

        def validation_loss(judged: nn.Module) -> Tensor:
            return network.head.loss(judged(x[n_train:]), targets[n_train:])

        judge = validation_loss if self.early_stopping else None
        return run_epochs(network, loop, batches, loss_of, judge, checkpoint=checkpoint)

    def _outputs(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return g of the raw outputs (N, ...), on the CPU and in float64, so that no row depends on its neighbours."""
        check_is_fitted(self)
        windows = self._windows(validate_data(self, X, reset=False, allow_nd=True, dtype="float64"))
        if windows.shape[1:] != self.window_shape_:
            raise UsageError(
                f"windows of (steps, features) {windows.shape[1:]}: the network was fitted on {self.window_shape_}"
            )
        x = torch.from_numpy((windows - self.mean_) / self.std_)
        network = make_network(self, len(self.mean_), self.network_.head)
        network.load_state_dict(self.network_.state_dict())
        network.double().eval()
        with torch.no_grad(), one_thread():
            return torch.cat([network.head(network(rows)) for rows in torch.split(x, _ROWS)]).numpy()


class RNNRegressor(MultiOutputMixin, RegressorMixin, _RNNEstimator):  # type: ignore[misc]
    """A recurrent network that predicts numbers from windows, trained with the squared error.

    Inputs and targets are standardised by what was fitted on; predictions come back in the targets' own units.

    Parameters
    ----------
    hidden, cell, nonlinearity, layers, dropout : the network, see `forecasting.NetworkConfig`
    epochs : passes over the windows; with early stopping at most so many
    batch_size : windows per step
    learning_rate : peak of the schedule
    schedule : "one_cycle", "cosine" or "constant"
    weight_decay : of AdamW
    clip_norm : longest gradient
    tbptt_steps : truncates backpropagation through time; None goes through the whole window
    early_stopping : keep the last rows out of training, and stop when the loss on them no longer falls
    validation_fraction : share of rows kept out
    patience : epochs without a lower loss after which training stops
    warm_start : go on from the weights of the last `fit`
    device : "auto", "cpu", "cuda" or "mps", of training; predictions are made on the CPU
    checkpoint : a file from which a killed `fit` goes on, to the same weights
    random_state : an int makes the fit reproducible to the last bit

    Attributes
    ----------
    network_ : the fitted network, on the CPU
    history_ : an `Epoch` (losses, gradient norm, seconds) per pass
    mean_, std_ : (features,), of the windows that were trained on
    window_shape_ : (steps, features)

    Examples
    --------
    >>> X = np.linspace(0, 6, 200)[:, None] + np.arange(5) / 5
    >>> model = RNNRegressor(hidden=8, epochs=30, random_state=0).fit(X, X[:, -1] + 0.2)
    >>> bool(model.score(X, X[:, -1] + 0.2) > 0.95)
    True
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit windows X to targets y, (N,) or (N, K).

        Raises
        ------
        Diverged
            The loss is no longer a finite number; the network has its last good weights.
        """
        X, y = validate_data(self, X, y, allow_nd=True, dtype="float64", multi_output=True, y_numeric=True)  # noqa: N806
        y = np.asarray(y, dtype="float64")
        if not (self.warm_start and hasattr(self, "network_")):
            known = y[: self._n_train(len(y))]
            self.target_mean_ = known.mean(axis=0)
            self.target_std_ = np.where(known.std(axis=0) > 0, known.std(axis=0), 1.0)
        scaled = ((y - self.target_mean_) / self.target_std_).reshape(len(y), -1)
        self._fit(self._windows(X), torch.from_numpy(scaled.astype("float32")), Identity(scaled.shape[1]))
        return self

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the predictions (N,) or (N, K), as y was."""
        outputs = self._outputs(X)
        return outputs.reshape(-1, *np.shape(self.target_mean_)) * self.target_std_ + self.target_mean_


class RNNClassifier(ClassifierMixin, _RNNEstimator):  # type: ignore[misc]
    """A recurrent network that gives windows a probability for each class, trained with the cross-entropy.

    Two classes have a sigmoid, more a softmax: down, flat and up, or quintiles of a return. Inputs are standardised
    by what was fitted on. The parameters are those of `RNNRegressor`.

    Attributes
    ----------
    classes_ : (C,), ascending
    network_, history_, mean_, std_, window_shape_ : as of `RNNRegressor`

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(300, 5))
    >>> up = np.where(X.sum(axis=1) > 0, "up", "down")
    >>> model = RNNClassifier(hidden=8, epochs=30, random_state=0).fit(X, up)
    >>> model.classes_.tolist(), model.predict_proba(X).shape, bool(model.score(X, up) > 0.9)
    (['down', 'up'], (300, 2), True)
    """

    classes_: np.ndarray

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit windows X to classes y (N,); raises as `RNNRegressor.fit` does."""
        X, y = validate_data(self, X, y, allow_nd=True, dtype="float64")  # noqa: N806
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        classes, numbers = np.unique(y, return_inverse=True)
        if self.warm_start and hasattr(self, "network_") and not np.array_equal(classes, self.classes_):
            raise UsageError(
                f"warm start on classes {classes.tolist()}: the fitted network has {self.classes_.tolist()}; next: "
                "warm_start=False"
            )
        self.classes_ = classes
        self._fit(self._windows(X), torch.from_numpy(numbers.astype("int64")), make_class_head(len(classes)))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the probability (N, C) of each class, in the order of `classes_`."""
        return self._outputs(X)

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the most probable class (N,)."""
        most = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most]
