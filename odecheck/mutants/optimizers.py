"""Wrong optimizers, sums over samples and flows: classes in the place of those that a subject is used with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.claim import Mutant
from odecheck.curvature import Eigenbasis, Factors, SampleIntegrals
from odecheck.fields.cnf import CNF
from odecheck.optim.horizon import HorizonFeedback, HorizonNewton
from odecheck.optim.snopt import SNOpt


def with_class(place: str, kind: type) -> Mutant:
    """A mutant that uses another class.

    Args:
        place: What it stands for, a name of a subject's `kit`.
        kind: The wrong class, made of the right one, whose name says what is wrong.

    Returns:
        The mutant.
    """
    name = f"{kind.__bases__[0].__name__}: {kind.__name__.lower()}"
    return Mutant(name, lambda s: replace(s, kit={**s.kit, place: kind}))


class Undamped(SNOpt):
    """The damping is a thousandth of what was asked for."""

    def step(self, closure: Any = None, *, samples: int | None = None) -> Any:
        """A step with another damping."""
        self.param_groups[0]["damping"] /= 1000
        return super().step(closure, samples=samples)


class DampedTwice(SNOpt):
    """The damping is in the factors' spectrum, and added once more."""

    @staticmethod
    def _keep(state: dict[str, Tensor], factors: Factors, decay: float) -> None:
        SNOpt._keep(state, factors, decay)  # pyright: ignore[reportPrivateUsage]
        state["spectrum"] = state["spectrum"] + 0.3


class Idle(SNOpt):
    """Gradients stay what they are."""

    def step(self, closure: Any = None, *, samples: int | None = None) -> Any:
        """Nothing."""
        return None


class Stale(SNOpt):
    """What the first refresh made is never renewed."""

    def _drop(self) -> None:
        pass

    def _keep(self, state: dict[str, Tensor], factors: Factors, decay: float) -> None:  # type: ignore[override]
        if "columns" not in state:
            SNOpt._keep(state, factors, decay)  # pyright: ignore[reportPrivateUsage]


class Accumulating(SNOpt):
    """A refresh adds to what was gathered before."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._sums.clear = lambda: None  # type: ignore[method-assign]


class OldSpectrum(SNOpt):
    """Eigenbases are renewed, and the eigenvalues are those of the first refresh."""

    @staticmethod
    def _keep(state: dict[str, Tensor], factors: Factors, decay: float) -> None:
        SNOpt._keep(state, factors, decay)  # pyright: ignore[reportPrivateUsage]
        state["spectrum"] = state.setdefault("first", state["spectrum"])


class FirstBatch(SNOpt):
    """Means are taken over as many samples as the first refresh had."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__(model, **options)
        self.first, self.rows = 0, 0
        self._layers[0].register_forward_hook(self._see)

    def _see(self, _layer: Any, inputs: Any, _output: Any) -> None:
        self.rows = len(inputs[0])
        self.first = self.first or self.rows

    def _keep(self, state: dict[str, Tensor], factors: Factors, decay: float) -> None:  # type: ignore[override]
        by = self.rows / self.first
        SNOpt._keep(state, Factors(by * factors.A, factors.B), decay)  # pyright: ignore[reportPrivateUsage]


class Everywhere(SNOpt):
    """Layers outside of solves are preconditioned also where those of fields alone were asked for."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__(model, **{**options, "layers": "all"})


class InsideAlone(SNOpt):
    """Layers outside of solves are left as they are also where all were asked for."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__(model, **{**options, "layers": "ode"})


class Unaveraged(SNOpt):
    """The spectrum stays that of the factors."""

    @staticmethod
    def _average(basis: Eigenbasis, rotated: Tensor, samples: int, group: dict[str, Any]) -> None:
        pass


class Unrotated(SNOpt):
    """The squares that are averaged are of the gradient as it is, and not in the basis."""

    @staticmethod
    def _average(basis: Eigenbasis, rotated: Tensor, samples: int, group: dict[str, Any]) -> None:
        gradient = basis.outputs @ rotated @ basis.columns.T
        basis.spectrum.lerp_(samples * gradient.square(), 1 - group["average"])


class Uncounted(SNOpt):
    """The number of samples is left out of the average."""

    @staticmethod
    def _average(basis: Eigenbasis, rotated: Tensor, samples: int, group: dict[str, Any]) -> None:
        SNOpt._average(basis, rotated, 1, group)  # pyright: ignore[reportPrivateUsage]


class OfTheStep(SNOpt):
    """What is averaged are squares of the preconditioned gradient."""

    @staticmethod
    def _average(basis: Eigenbasis, rotated: Tensor, samples: int, group: dict[str, Any]) -> None:
        step = rotated / (basis.spectrum + group["damping"])
        SNOpt._average(basis, step, samples, group)  # pyright: ignore[reportPrivateUsage]


class Swapped(SNOpt):
    """The former average counts 1 − a and the new gradient a."""

    @staticmethod
    def _average(basis: Eigenbasis, rotated: Tensor, samples: int, group: dict[str, Any]) -> None:
        other = {**group, "average": 1 - group["average"]}
        SNOpt._average(basis, rotated, samples, other)  # pyright: ignore[reportPrivateUsage]


class Halved(SampleIntegrals):
    """The cotangents' part of every sample counts half."""

    def along(self, layer: nn.Module, held: Any, stage: Any) -> None:
        """A call that counts less."""
        z, g, counts = held
        super().along(layer, (z, g / 2**0.5, counts), stage)


class Forgetful(SampleIntegrals):
    """One stage in seven is forgotten."""

    def along(self, layer: nn.Module, held: Any, stage: Any) -> None:
        """A call that may not count."""
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls % 7:
            super().along(layer, held, stage)


class Straight(HorizonNewton):
    """What the other optimizer did is forgotten."""

    def _change(self, seen: Any, length: float, penalty: float) -> float:
        seen.mixed.clear()
        return super()._change(seen, length, penalty)


class Unpenalised(HorizonFeedback):
    """The penalty has no slope."""

    def _change(self, seen: Any, length: float, penalty: float) -> float:
        return super()._change(seen, 0.0, penalty)


class Unsigned(CNF):
    """Densities grow where they should fall."""

    def _solve(self, x: torch.Tensor, span: tuple[float, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        y, change = super()._solve(x, span)
        return y, -change


UNDAMPED, IDLE = with_class("optimizer", Undamped), with_class("optimizer", Idle)
DAMPED_TWICE = with_class("optimizer", DampedTwice)
STALE, ACCUMULATING = with_class("optimizer", Stale), with_class("optimizer", Accumulating)
OLD_SPECTRUM, FIRST_BATCH = with_class("optimizer", OldSpectrum), with_class("optimizer", FirstBatch)
EVERYWHERE, INSIDE_ALONE = with_class("optimizer", Everywhere), with_class("optimizer", InsideAlone)
UNAVERAGED, UNROTATED = with_class("optimizer", Unaveraged), with_class("optimizer", Unrotated)
UNCOUNTED, OF_THE_STEP = with_class("optimizer", Uncounted), with_class("optimizer", OfTheStep)
SWAPPED = with_class("optimizer", Swapped)
HALVED, FORGETFUL = with_class("samples", Halved), with_class("samples", Forgetful)
STRAIGHT, UNPENALISED = with_class("newton", Straight), with_class("feedback", Unpenalised)
UNSIGNED = with_class("flow", Unsigned)
