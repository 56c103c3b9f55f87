"""The registry: which models a universe has, which of them serves it, and how it came to."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecasting.errors import BundleError, ModelError, UsageError
from forecasting.model.manifest import read_bundle, read_manifest
from forecasting.universe import Universe, make_universe
from forecasting.workspace import read_json, write_json

if TYPE_CHECKING:  # it loads torch
    from forecasting.evaluation.contest import Block, Decision

KINDS = ("registration", "refusal", "promotion", "rollback", "pruning")
_SERVING = ("promotion", "rollback")


@dataclass(frozen=True)
class Entry:
    """One entry of the registry, never edited.

    Parameters
    ----------
    universe, symbols, model_id : what it is about
    at : UTC instant, ISO 8601
    reason : in words
    kind : of `KINDS`. After a `registration` the model is a candidate, after a `refusal` it still is, from a
        `promotion` or `rollback` on it serves the universe, after a `pruning` it is deleted
    numbers : what the reason rests on, JSON values; of a contest those of `Decision`, and the champion it was `against`
    """

    universe: str
    symbols: tuple[str, ...]
    model_id: str
    at: str
    reason: str
    kind: str = "promotion"  # all that earlier versions wrote
    numbers: Mapping[str, Any] = field(default_factory=dict)


class Registry:
    """Entries under a workspace's `models` folder: append-only, the file replaced as a whole."""

    def __init__(self, models: Path) -> None:
        self._models, self._path = models, models / "registry.json"

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first."""
        return read_json(self._path, _entries) if self._path.exists() else []

    def promotions(self) -> list[Entry]:
        """Return the entries that put a model into service, oldest first: promotions and rollbacks."""
        return [entry for entry in self.entries() if entry.kind in _SERVING]

    def champions(self) -> list[Entry]:
        """Return the promotion in force of every universe, oldest first."""
        promotions = self.promotions()
        last = {p.universe: i for i, p in enumerate(promotions)}
        return [promotions[i] for i in sorted(last.values())]

    def universes(self) -> dict[str, Universe]:
        """Return the universes that have models, by name, with the symbols that each had last."""
        return {entry.universe: Universe(entry.universe, entry.symbols) for entry in self.entries()}

    def champion_of(self, universe: str) -> Entry | None:
        """Return the promotion in force of a universe, by its name."""
        return next((p for p in self.champions() if p.universe == universe), None)

    def champion(self, symbols: Sequence[str] = (), *, or_newest: bool = False) -> Entry:
        """Return the newest champion whose universe holds all these symbols.

        Parameters
        ----------
        or_newest : where none holds them, return the newest of all: it then forecasts what it was not trained on

        Raises
        ------
        ModelError
            There is none.
        """
        champions = self.champions()
        found = [p for p in champions if set(symbols) <= set(p.symbols)]
        if found or (or_newest and champions):
            return (found or champions)[-1]
        if not champions:
            raise ModelError("no model has been trained here yet; next: tickercast run --source sample")
        served = "; ".join(f"{p.model_id} serves {p.universe}" for p in champions)
        raise ModelError(
            f"no model serves {', '.join(symbols)} together ({served}); next: tickercast train {' '.join(symbols)}, or "
            "choose a model with --model"
        )

    def models_of(self, universe: str) -> list[str]:
        """Return the models of a universe, by its name, in the order of their registration, without pruned ones."""
        models: dict[str, None] = {}
        for entry in self.entries():
            if entry.universe == universe:
                if entry.kind == "pruning":
                    models.pop(entry.model_id, None)
                else:
                    models[entry.model_id] = None
        return list(models)

    def decision_on(self, universe: str, model_id: str) -> Entry | None:
        """Return what was last decided about a model of a universe: a refusal, promotion or rollback."""
        decided = [e for e in self.entries() if (e.universe, e.model_id) == (universe, model_id)]
        return next((e for e in reversed(decided) if e.kind in ("refusal", *_SERVING)), None)

    def tried_blocks(self, universe: str) -> "list[Block]":
        """Return the held-out blocks on which new recipes of a universe were tested."""
        blocks = (e.numbers.get("block") for e in self.entries() if e.universe == universe)
        return [(pd.Timestamp(block[0]), pd.Timestamp(block[1])) for block in blocks if block]

    def register(
        self, universe: Universe, model_id: str, at: pd.Timestamp, reason: str, numbers: Mapping[str, Any] | None = None
    ) -> None:
        """Make a model a candidate of a universe; nothing happens where it is one of its models already."""
        if model_id not in self.models_of(universe.name):
            self._record(_entry("registration", universe, model_id, at, reason, numbers))

    def decide(self, universe: Universe, model_id: str, at: pd.Timestamp, decision: "Decision") -> None:
        """Record what came of a candidate's contest with the champion: a promotion or a refusal."""
        kind = "promotion" if decision.promote else "refusal"
        self._record(_entry(kind, universe, model_id, at, decision.reason, decision.numbers))

    def promote(self, universe: Universe, model_id: str, at: pd.Timestamp, reason: str) -> bool:
        """Make a model the champion of a universe; return False, and record nothing, where it is already."""
        champion = self.champion_of(universe.name)
        if champion and champion.model_id == model_id:
            return False
        self._record(_entry("promotion", universe, model_id, at, reason))
        return True

    def rollback(self, universe: str, at: pd.Timestamp, reason: str = "") -> Entry:
        """Make the champion before the present one serve again, the last whose bundle is whole; nothing is trained.

        Rolled back again, the universe goes further back, not forth.

        Parameters
        ----------
        universe : by its name

        Raises
        ------
        UsageError
            The registry has no such universe.
        ModelError
            No earlier champion is left, or none that is whole.
        """
        entry = self.before_champion(universe)
        present = self._served(universe)[-1].model_id
        rollback = _entry(
            "rollback",
            Universe(universe, entry.symbols),
            entry.model_id,
            at,
            f"rolled back from {present}" + (f": {reason}" if reason else ""),
            {"against": present},
        )
        self._record(rollback)
        return rollback

    def before_champion(self, universe: str) -> Entry:
        """Return the promotion that a rollback of a universe leads back to; raises as `rollback` does."""
        *former, present = self._served(universe)
        damaged = []
        for entry in reversed(former):
            try:
                read_bundle(self._models, entry.model_id)
            except BundleError as error:
                damaged.append(str(error).partition("; next:")[0])
            else:
                return entry
        raise ModelError(
            f"{present.model_id} serves {universe}, and no earlier champion is there to roll back to"
            + (f" ({'; '.join(damaged)})" if damaged else "")
            + "; next: tickercast models list, and promote another one"
        )

    def _served(self, universe: str) -> list[Entry]:
        """Return the champions of a universe that a rollback can lead back to, the present one last."""
        served: list[Entry] = []
        for entry in self.promotions():
            if entry.universe == universe:
                if entry.kind == "rollback":
                    while served and served[-1].model_id != entry.model_id:
                        served.pop()
                served = [e for e in served if e.model_id != entry.model_id] + [entry]
        if not served:
            known = ", ".join(sorted({e.universe for e in self.entries()}))
            raise UsageError(
                f"universe {universe!r} has no champion: the registry knows {known or 'none'}; next: tickercast models "
                "list"
            )
        return served

    def universe_of(self, model_id: str, name: str | None = None) -> Universe:
        """Return the universe that a saved model is a model of.

        Parameters
        ----------
        name : which one; by default the only one it is registered for, or else that of its symbols

        Raises
        ------
        UsageError
            It is registered for several and none was named, or the registry does not know the name.
        BundleError
            There is no such model.
        """
        manifest = read_manifest(self._models, model_id)
        entries = self.entries()
        own = {e.universe: e.symbols for e in entries if e.model_id == model_id}
        if name is None and len(own) > 1:
            raise UsageError(
                f"model {model_id} is one of several universes, {', '.join(own)}; next: choose one with --universe"
            )
        if name is None:
            return Universe(*next(iter(own.items()))) if own else make_universe(manifest["universe"])
        symbols = own.get(name) or {e.universe: e.symbols for e in entries}.get(name)
        if symbols is None:
            known = ", ".join(sorted({e.universe for e in entries}))
            raise UsageError(
                f"universe {name!r}: the registry knows {known or 'none'}; next: choose one of them with --universe"
            )
        return Universe(name, symbols)

    def prune(self, universe: Universe, model_ids: Sequence[str], at: pd.Timestamp, reason: str) -> None:
        """Record that candidates of a universe are deleted; whoever deletes them does so after that."""
        self._record(*(_entry("pruning", universe, model_id, at, reason) for model_id in model_ids))

    def _record(self, *entries: Entry) -> None:
        """Append entries, all or none of them."""
        write_json(self._path, [asdict(entry) for entry in (*self.entries(), *entries)])


def _entry(
    kind: str,
    universe: Universe,
    model_id: str,
    at: pd.Timestamp,
    reason: str,
    numbers: Mapping[str, Any] | None = None,
) -> Entry:
    return Entry(universe.name, universe.symbols, model_id, at.isoformat(), reason, kind, numbers or {})


def _entries(stored: Any) -> list[Entry]:
    if not isinstance(stored, list):
        raise TypeError("not a list of entries")
    entries = [Entry(**{**entry, "symbols": tuple(entry["symbols"])}) for entry in stored]
    if unknown := {entry.kind for entry in entries} - set(KINDS):
        raise ValueError(f"entries of the kinds {sorted(unknown)}")
    return entries
