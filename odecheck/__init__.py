"""odecheck: is what this neural ODE computes what the mathematics says, and what does it cost?

The public names are those of `__init__.pyi`. Importing odecheck imports nothing else: the command line and pytest start
at once, and torch comes when something needs it. The decorator that defines a claim is `odecheck.claim.claim`.
"""

import lazy_loader as _lazy_loader

_attribute, __dir__, __all__ = _lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("odecheck")
        except PackageNotFoundError:  # its folder is on the path, and it was never installed
            return "0+unknown"
    return _attribute(name)
