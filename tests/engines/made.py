"""An engine and libraries that are made for tests of declarations."""

from __future__ import annotations

from odecheck.engines.base import OdeIntEngine
from odecheck.engines.library import Declared, Library
from odecheck.engines.own import asks

ENGINE = OdeIntEngine("another", "steps", lambda *_, **__: None)  # type: ignore[arg-type,return-value]


def made(name: str, *of: Declared, **more: object) -> Library:
    return Library(name, "torch", ("1",), asks, engines=of, **more)  # type: ignore[arg-type]
