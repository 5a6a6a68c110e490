"""What a watched module carries for one training step, and what becomes of it in a copy of the module: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def nothing(*_: Any) -> None:
    """What becomes of a callback in a copy of a module that is being watched."""


def _nothing() -> Callable[..., None]:
    return nothing


class Callback:
    """An attribute that a solver looks for on its field; one that the user had set is called too.

    Attributes:
        tell: called as tell(t0, dt).
        before: the user's own, or None.
    """

    def __init__(self, tell: Callable[..., None], before: Any) -> None:
        self.tell, self.before = tell, before

    def __call__(self, t0: Tensor, state: Any, dt: Tensor) -> Any:
        """Tell of the step, and call the user's own with the state too."""
        self.tell(t0, dt)
        return None if self.before is None else self.before(t0, state, dt)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return _nothing, ()  # a copied or saved module takes no part


class Hook:
    """A forward hook, likewise idle in a copy.

    Attributes:
        see: called with what the hook is called with.
    """

    def __init__(self, see: Callable[..., None]) -> None:
        self.see = see

    def __call__(self, *args: Any) -> None:
        """Show what it is called with, and change nothing."""
        self.see(*args)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[()]]:
        return _nothing, ()
