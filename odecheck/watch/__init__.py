"""Watch a training step: the ODE solves that it makes, verified as they are.

`odecheck.watch` is this package and can be called: `with odecheck.watch() as step:`.
"""

import sys
import types
from typing import Any

from .row import Finding, Quantity, Row, State
from .step import Step, watch

__all__ = ["Finding", "Quantity", "Row", "State", "Step", "watch"]


class _Callable(types.ModuleType):
    # importing this package makes it the attribute `watch` of odecheck, in the place of the function of that name
    def __call__(self, *args: Any, **kwargs: Any) -> watch:
        return watch(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
