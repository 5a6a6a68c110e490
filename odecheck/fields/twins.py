"""Where a torch module says of which numpy field it is the twin: `@build.register` beside the module."""

from __future__ import annotations

from functools import singledispatch

from torch import nn


@singledispatch
def build(field: object) -> nn.Module:
    """The torch module of a numpy field (or coefficient), at whatever parameters.

    Raises:
        TypeError: for a field of which no module is the twin.
    """
    raise TypeError(
        f"no torch module is known for {type(field).__name__}. Give the subject a module of its own, "
        f"or register one: @odecheck.fields.from_reference.build.register for {type(field).__name__}"
    )
