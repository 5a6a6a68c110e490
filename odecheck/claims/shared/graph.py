"""Solving as a library's user does, within torch's graph: what the claims about parameters, states and use share."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from odecheck_reference import Bounded, Problem, gradient
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.claims.libraries.derivatives import joined
from odecheck.engines.base import graph_of
from odecheck.errors import NotApplicable, Unsupported
from odecheck.subject import Subject, to_numpy

Wrap = Callable[[nn.Module], nn.Module]
REFUSALS = (RuntimeError, TypeError, ValueError, AssertionError, AttributeError)


@contextmanager
def refusals(subject: Subject) -> Generator[None]:
    """What a library says it cannot do, in whatever exception, is Unsupported and not an error of the claim."""
    try:
        yield
    except Unsupported:
        raise
    except (*REFUSALS, NotImplementedError) as refused:
        said = str(refused).strip().splitlines()
        raise Unsupported(
            f"{subject.engine.name} refuses: {type(refused).__name__}: {said[0] if said else ''}"
        ) from refused


def no_integral(problem: Problem) -> Problem:
    """The problem. Raises NotApplicable when its loss has an integral term, which no user's graph has."""
    if problem.running is not None:
        raise NotApplicable("the loss has an integral term")
    return problem


def backward(subject: Subject, problem: Problem, wrap: Wrap = lambda module: module) -> tuple[nn.Module, Tensor]:
    """One solve and loss.backward(): the wrapped module and the start, with their `grad`."""
    no_integral(problem)

    def action(module: nn.Module, y0: Tensor, ts: Tensor, loss: Callable[..., Tensor]) -> tuple[nn.Module, Tensor]:
        whole, start = wrap(module), y0.requires_grad_()
        with refusals(subject):
            loss(graph_of(subject.engine).attached(whole, subject.solver, start, ts)).backward()
        return whole, start

    return subject.observe(problem, action)


def flat(grads: list[Tensor | None], likes: list[Any]) -> Array:
    """Gradients one after the other; none at all counts as zero."""
    parts = [torch.zeros_like(x) if g is None else g for g, x in zip(grads, likes, strict=True)]
    return to_numpy(torch.cat([part.reshape(-1) for part in parts]))


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters that theta consists of: a model of a user's may have frozen ones besides."""
    return [p for p in module.parameters() if p.requires_grad]


def start_and_parameters(module: nn.Module, start: Tensor) -> Array:
    """The `grad` of the start and of the trainable parameters, flat."""
    leaves = [start, *trainable(module)]
    return flat([leaf.grad for leaf in leaves], leaves)


def truth_of(problem: Problem) -> Bounded:
    """dL/dy0 and dL/dtheta of the reference, flat."""
    exact = gradient(problem)
    return joined([exact.y0, exact.theta])
