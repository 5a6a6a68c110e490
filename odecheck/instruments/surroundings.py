"""What a process has in common for all that runs in it, put back after a unit: no subject changes it for the next one.

Switches of torch and numpy, seeds aside (each case sets its own), warnings, signals, places, and the functions and
classes that everybody calls. A new name in a module is none of a subject's deeds: modules are filled in as they are
used; a name that means something else than before is.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from odecheck.compat import pop_modes, pushed_modes

SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGALRM, signal.SIGHUP) if hasattr(signal, "SIGALRM") else ()))
# packages all of whose modules are looked at, and single modules and classes
PACKAGES = ("odecheck", "odecheck_reference", "torchdiffeq")
MODULES = (
    "builtins",
    "math",
    "random",
    "json",
    "pickle",
    "time",
    "os",
    "numpy",
    "numpy.linalg",
    "numpy.random",
    "scipy.integrate",
    "torch",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.func",
    "torch.linalg",
    "torch.nn.functional",
)
CLASSES: tuple[type, ...] = (
    torch.Tensor,
    torch.nn.Module,
    torch.nn.Parameter,
    torch.nn.Linear,
    torch.nn.Tanh,
    torch.nn.Sequential,
    torch.autograd.Function,
)


class Switch(NamedTuple):
    """One thing that a process has once: its name, how it is read, and how it is set."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]


def _set_deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _set_device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)  # pyright: ignore[reportUnknownMemberType]


def _set_handlers(value: dict[int, Any]) -> None:
    for number, handler in value.items():
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(number, handler)


def _set_environment(value: dict[str, str]) -> None:
    for name in os.environ.keys() - value.keys():
        del os.environ[name]
    os.environ.update(value)


def _set_errors(value: dict[str, Any]) -> None:
    np.seterr(**value)


def _set_path(value: list[str]) -> None:
    sys.path[:] = value


def _set_folder(value: str | None) -> None:
    if value is not None:
        os.chdir(value)


def _set_collection(value: bool) -> None:
    (gc.enable if value else gc.disable)()


def _set_streams(value: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = value


def _folder() -> str | None:
    with suppress(OSError):  # it was removed
        return os.getcwd()
    return None


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _set_filters(value: list[Any]) -> None:
    cast(Any, warnings).filters[:] = value
    with warnings.catch_warnings():  # its end tells that they have changed
        pass


SWITCHES: tuple[Switch, ...] = (
    Switch("torch.set_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled),
    Switch("torch.set_default_dtype", torch.get_default_dtype, torch.set_default_dtype),
    Switch("torch.set_num_threads", torch.get_num_threads, torch.set_num_threads),
    Switch(
        "torch.use_deterministic_algorithms",
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        _set_deterministic,
    ),
    Switch("torch.set_anomaly_enabled", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Switch(
        "torch.set_flush_denormal",
        lambda: bool(np.float64(1e-310) * np.float64(1.0) == 0.0),
        torch.set_flush_denormal,
    ),
    Switch(
        "torch.set_float32_matmul_precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Switch("torch.set_default_device", torch.get_default_device, _set_device),
    Switch("a mode of torch", pushed_modes, pop_modes),
    Switch("numpy.seterr", np.geterr, _set_errors),
    Switch("warnings.filters", lambda: list(warnings.filters), _set_filters),
    Switch("a handler of a signal", lambda: {s: signal.getsignal(s) for s in SIGNALS}, _set_handlers),
    Switch("sys.path", lambda: list(sys.path), _set_path),
    Switch("os.environ", lambda: dict(os.environ), _set_environment),
    Switch("os.chdir", _folder, _set_folder),
    Switch("os.umask", _umask, os.umask),
    Switch("sys.setrecursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
    Switch("gc.disable", gc.isenabled, _set_collection),
    Switch("sys.stdout", lambda: (sys.stdout, sys.stderr), _set_streams),
)


class Surroundings:
    """The process as it is now, to which `restore` goes back."""

    def __init__(self) -> None:
        self.switches = [(switch, switch.get()) for switch in SWITCHES]
        self.functions = [
            (holder, name, value)
            for holder in _holders()
            for name, value in list(vars(holder).items())
            if isinstance(holder, type) or callable(value)
        ]
        self.names = {cls: frozenset(vars(cls)) for cls in CLASSES}
        self.threads = set(threading.enumerate())

    def changed(self) -> list[str]:
        """What is another than it was, by name, threads that were begun among them.

        Returns:
            The names; nothing is put back.
        """
        return [name for name, _ in self._changes()]

    def restore(self) -> list[str]:
        """Put everything back.

        Returns:
            What had been changed, as `changed`, with threads, which cannot be ended.
        """
        changed: list[str] = []
        for name, put_back in self._changes():
            changed.append(name)
            with suppress(Exception):
                put_back()
        return changed

    def _changes(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """What is another than it was, and what puts it back."""
        for holder, name, value in self.functions:
            if vars(holder).get(name) is not value:
                yield f"{holder.__name__}.{name}", partial(setattr, holder, name, value)
        for cls, names in self.names.items():
            for name in vars(cls).keys() - names:
                yield f"{cls.__name__}.{name}", partial(delattr, cls, name)
        for switch, value in self.switches:
            with suppress(Exception):  # what cannot even be read is put back all the same
                if switch.get() == value:
                    continue
            yield switch.name, partial(switch.put, value)
        for one in threading.enumerate():
            if one not in self.threads:
                yield f"thread {one.name}", one.is_alive


def _holders() -> Iterator[ModuleType | type]:
    for name, module in list(cast("dict[str, ModuleType | None]", sys.modules).items()):
        if module is not None and (name in MODULES or name.partition(".")[0] in PACKAGES):
            yield module
    yield from CLASSES


@contextmanager
def restored() -> Generator[None]:
    """Put back after the block what it changed of the process.

    Yields:
        Nothing.
    """
    before = Surroundings()
    try:
        yield
    finally:
        before.restore()


def seed(number: int) -> None:
    """Set everybody's random numbers.

    Args:
        number: Of torch, Python and numpy, which takes it modulo 2³².
    """
    torch.manual_seed(number)  # pyright: ignore[reportUnknownMemberType]
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002  of models that draw from it
