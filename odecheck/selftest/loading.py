"""odecheck imported anew with one mistake in it, for a process of its own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch

from .source import ROUND, SCALE, SCALED, SourceMutant, mutated

MET: set[str] = set()
"""The helpers that met a floating-point tensor: a mutant whose helper met none changed nothing."""


def _helper(name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def changed(x: Any) -> Any:
        if not (isinstance(x, torch.Tensor) and x.is_floating_point()):
            return x
        MET.add(name)
        return change(x)

    return changed


def _helpers() -> dict[str, Callable[[Any], Any]]:
    return {
        ROUND: _helper(ROUND, lambda x: x.to(torch.float32).to(x.dtype)),
        SCALED: _helper(SCALED, lambda x: SCALE * x),
    }


@dataclass(frozen=True)
class _Loaded(Loader, MetaPathFinder):
    """Finds and loads the one mutated module; all others are found as usual."""

    mutant: SourceMutant

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self.mutant.module:
            return None
        return importlib.util.spec_from_file_location(fullname, self.mutant.file, loader=self)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_helpers())
        exec(compile(mutated(self.mutant), self.mutant.file, "exec"), vars(module))


def load(mutant: SourceMutant | None) -> None:
    """Forget odecheck and have it imported anew, with this change. For a process of its own."""
    for name in [name for name in sys.modules if name == "odecheck" or name.startswith("odecheck.")]:
        del sys.modules[name]
    if mutant is not None:
        sys.meta_path.insert(0, _Loaded(mutant))
