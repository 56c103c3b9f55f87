"""Where the folds of a walk run: in this process, in several on this machine, or on a Dask cluster."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from forecasting.errors import UsageError

BACKENDS = ("local", "dask")

_WORTH_STARTING = 50_000  # bars, of all symbols together
_PATIENCE_S = 10  # for the scheduler of a cluster to answer


@dataclass(frozen=True)
class Workers:
    """How many tasks run at once, and where.

    Parameters
    ----------
    jobs : processes on this machine; 1 works in this process
    backend : "local", or "dask" for the workers of a cluster, however many there are
    scheduler : address of the cluster's scheduler, such as tcp://10.0.0.5:8786; each worker needs tickercast

    Raises
    ------
    UsageError
        The settings do not fit together.
    """

    jobs: int = 1
    backend: str = "local"
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UsageError(f"backend {self.backend!r}: backends are {', '.join(BACKENDS)}")
        if self.jobs < 1:
            raise UsageError(f"{self.jobs} jobs: at least one process works; next: --jobs 1")
        if (self.backend == "dask") != bool(self.scheduler):
            raise UsageError(
                "a Dask cluster is reached by both --backend dask and --scheduler ADDRESS; next: --backend dask "
                "--scheduler tcp://HOST:8786, or neither"
            )

    @property
    def in_process(self) -> bool:
        """Whether tasks run here, one after the other."""
        return self.backend == "local" and self.jobs == 1

    def run(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Yield each task's position and what `function(*task)` returned, as they end.

        Raises
        ------
        UsageError
            The cluster cannot be reached, or Dask is not installed.
        """
        if self.in_process:
            for i, task in enumerate(tasks):
                yield i, function(*task)
            return
        import joblib

        # a worker whose memory has grown is replaced by a new one, which is right and no news
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given to the executor", UserWarning)
        numbered = (joblib.delayed(_numbered)(i, function, task) for i, task in enumerate(tasks))
        cluster = _connected(self.scheduler) if self.scheduler else nullcontext()
        with cluster, joblib.parallel_config("dask" if self.scheduler else "loky", n_jobs=self.jobs):
            yield from joblib.Parallel(return_as="generator_unordered", batch_size=1)(numbered)


def workers_for(bars: int) -> Workers:
    """Return a process for each core where a walk over so many bars is worth the seconds that each takes to start."""
    import joblib

    return Workers(joblib.cpu_count() if bars >= _WORTH_STARTING else 1)


def _numbered(i: int, function: Callable[..., Any], task: tuple[Any, ...]) -> tuple[int, Any]:
    return i, function(*task)


def _connected(scheduler: str) -> AbstractContextManager[Any]:
    """Return a client of a Dask cluster, which joblib finds while it is open."""
    try:
        from distributed import Client

        return Client(scheduler, timeout=_PATIENCE_S)  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise UsageError("--backend dask: Dask is not installed; next: pip install 'tickercast[dask]'") from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the Dask scheduler {scheduler} does not answer ({type(error).__name__}); next: check its address, or "
            "leave --backend out"
        ) from error
