"""The points of sagas at which a process can be killed, and which of them a restarted cloud may be armed with."""

from __future__ import annotations

from pileus.kit.saga import KINDS, Saga

MOMENTS = ("after", "before")


def points_of(saga: type[Saga], moments: tuple[str, ...] = MOMENTS) -> list[str]:
    """From the last step to the first, what strikes after steps apart from what strikes before them."""
    return [f"{saga.name}:{step.name}:{moment}" for moment in moments for step in reversed(saga.steps)]


def harmless(struck: str, armed: str) -> bool:
    """Whether what goes on after a strike at one point will surely not come by the armed one.

    A saga runs again from the step it stood at; a request that was struck is over, and any saga may follow it.
    """
    (name, step), (other, other_step) = struck.split(":")[:2], armed.split(":")[:2]
    if other not in KINDS:
        return True
    if name not in KINDS:
        return False
    steps = [each.name for each in KINDS[name].steps]
    return name != other or steps.index(other_step) < steps.index(step)
