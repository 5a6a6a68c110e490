"""A step of training with SNOpt, for the GPU suite: the gradient of a solve, then the gradients preconditioned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.discrete.replayed import captured
from odecheck.engines.base import Engine, GraphEngine
from odecheck.engines.torchdiffeq import Adjoint
from odecheck.optim import SNOpt
from odecheck.solvers import Solver

NEVER = 10**9  # steps from the refresh at the first step to the next
RATE = 1e-2


@dataclass
class SnoptStep:
    """Computes what a step changes: the preconditioned gradients, flat, at the parameters as they were at first.

    The refresh is by torchdiffeq's adjoint whatever the engine, whose gradients the step itself is made of.

    Attributes:
        engine: of the gradients.
        refresh: whether every step is a refresh, or only the one before the first.
        replays: the preconditioning as a CUDA graph.
        compiled: the field compiled, but for refreshes, which look at its layers' calls.
    """

    engine: Engine
    refresh: bool = False
    replays: bool = False
    compiled: bool = False
    _of: list[Any] = field(default_factory=list[Any])

    def __call__(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> Tensor:
        """As `Compute`."""
        if not self._of or self._of[0] is not module:
            self._of[:] = [module, *self._begun(module, solver, y0, ts, loss)]
        _, start, change, called = self._of
        parameters = list(module.parameters())
        with torch.no_grad():
            for p, old in zip(parameters, start, strict=True):
                p.copy_(old)
        self._gradients(self.engine, called, parameters, (solver, y0, ts, loss))
        change()
        return torch.cat([_slope(p).reshape(-1) for p in parameters]).clone()

    def _begun(self, module: nn.Module, solver: Solver, y0: Tensor, ts: Tensor, loss: Any) -> tuple[Any, ...]:
        """(the parameters as they are, what changes them after a gradient, what is called as the field)."""
        parameters = list(module.parameters())
        start = [p.detach().clone() for p in parameters]
        for p in parameters:
            p.grad = torch.zeros_like(p)
        precondition = SNOpt(module, refresh=1 if self.refresh else NEVER)

        @torch.no_grad()
        def change() -> None:
            precondition.step()
            for p in parameters:
                p.sub_(_slope(p), alpha=RATE)

        if self.refresh:
            return start, change, module
        self._gradients(Adjoint(), module, parameters, (solver, y0, ts, loss))
        change()
        call: Any = torch.compile(module) if self.compiled else module  # pyright: ignore[reportUnknownMemberType]
        if not self.replays:
            return start, change, call
        basis = [x.clone() for x in _kept(precondition)]
        graph = captured(change, y0.device)[0]
        for x, old in zip(_kept(precondition), basis, strict=True):  # warming up has averaged squares of its own
            x.copy_(old)
        return start, graph.replay, call

    @staticmethod
    def _gradients(engine: Engine, called: Callable[..., Any], parameters: list[nn.Parameter], at: Any) -> None:
        """The gradients of the loss where they are read from, whatever was there."""
        solver, y0, ts, loss = at
        module: Any = called
        if isinstance(engine, GraphEngine):
            for p in parameters:
                _slope(p).zero_()
            loss(engine.attached(module, solver, y0, ts)).backward()
            return
        found = engine.gradient(module, solver, y0, ts, loss).theta
        begin = 0
        for p in parameters:
            _slope(p).copy_(found[begin : begin + p.numel()].view_as(p))
            begin += p.numel()


def _slope(p: nn.Parameter) -> Tensor:
    assert p.grad is not None
    return p.grad


def _kept(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The tensors that an optimizer remembers."""
    return [x for state in optimizer.state.values() for x in state.values() if isinstance(x, Tensor)]
