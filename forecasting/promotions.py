"""Who serves a universe, by hand: promote any of its models, or roll back to the champion before."""

from dataclasses import dataclass

from forecasting.cards import write_cards
from forecasting.errors import UsageError
from forecasting.jobs import utc_now
from forecasting.model.manifest import read_bundle
from forecasting.records import JobRecord
from forecasting.registry import Registry
from forecasting.steps import Clock
from forecasting.workspace import Workspace


@dataclass(frozen=True)
class Change:
    """What serves a universe, what did `before` (None where nothing), and the recorded reason."""

    universe: str
    model_id: str
    before: str | None
    reason: str


def promote_model(
    workspace: Workspace,
    model_id: str,
    universe: str | None = None,
    reason: str = "",
    clock: Clock = utc_now,
) -> Change:
    """Make a saved model the champion of a universe by hand; nothing happens where it is that already.

    Parameters
    ----------
    universe : by its name; by default the one it was trained for
    reason : is recorded

    Raises
    ------
    BundleError
        There is no such model, or it is damaged.
    """
    with workspace.lock(), JobRecord(workspace, "promote", clock()) as record:
        registry = Registry(workspace.models)
        read_bundle(workspace.models, model_id)
        chosen = registry.universe_of(model_id, universe)
        champion = registry.champion_of(chosen.name)
        before = champion.model_id if champion else None
        if before == model_id:
            return Change(chosen.name, model_id, before, "")
        reason = "by hand" + (f": {reason}" if reason else "")
        with record.step("promote"):
            registry.promote(chosen, model_id, clock(), reason)
            write_cards(workspace, [m for m in (model_id, before) if m])
        return Change(chosen.name, model_id, before, reason)


def rollback_model(
    workspace: Workspace, universe: str | None = None, reason: str = "", clock: Clock = utc_now
) -> Change:
    """Make the champion before the present one serve a universe again.

    Parameters
    ----------
    universe : by its name; by default the only one there is
    reason : is recorded

    Raises
    ------
    ModelError
        There is none, or none that is whole; the champion stays.
    UsageError
        There is no such universe, or several and none was named.
    """
    with workspace.lock(), JobRecord(workspace, "rollback", clock()) as record:
        registry = Registry(workspace.models)
        names = [champion.universe for champion in registry.champions()]
        if universe is None and len(names) != 1:
            raise UsageError(
                f"{len(names)} universes have a champion ({', '.join(names)}); next: choose one with --universe"
                if names
                else "no universe has a champion yet; next: tickercast train"
            )
        with record.step("rollback"):
            entry = registry.rollback(universe or names[0], clock(), reason)
            before = entry.numbers["against"]
            write_cards(workspace, [entry.model_id, before])
        return Change(entry.universe, entry.model_id, before, entry.reason)
