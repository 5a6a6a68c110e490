"""What a subject gathers along its adjoint solves, and its factors as one flat row of numbers (SNOPT-6 to SNOPT-9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
from odecheck_reference import Problem, solution
from odecheck_reference.bounded import Array
from odecheck_reference.flat import is_large
from odecheck_reference.looked import kept
from torch import Tensor, nn

from odecheck.claims.papers.layers import only_in_layers
from odecheck.curvature import Blocks, Factors, Gather, SampleIntegrals
from odecheck.curvature.collector import Sink
from odecheck.curvature.recipe import RIGHT, Method
from odecheck.errors import CurvatureError, NotApplicable, Unsupported
from odecheck.instruments.metering import Meter, charge, to_be_kept
from odecheck.instruments.posed import Posed
from odecheck.instruments.unit_of_work import kept_in_unit
from odecheck.subject import Subject, tensor

from .terminal import factor_rows, terminal

LARGEST = 400  # rows of a layer's block
WIDEST = 513  # rows of a Kronecker factor


def method_of(subject: Subject) -> Method:
    """How the subject gathers curvature: the right way, if its engine says nothing else."""
    return cast(Method, getattr(subject.engine, "curvature", RIGHT))


def layers_of(module: nn.Module) -> list[nn.Linear]:
    """The linear layers of a field. Raises NotApplicable for none, or one whose factors would be too large."""
    found = [m for m in module.modules() if isinstance(m, nn.Linear)]
    if not found:
        raise NotApplicable("the field has no linear layer")
    widest = max(max(m.in_features + 1, m.out_features) for m in found)
    if widest > WIDEST:
        raise NotApplicable(f"a layer's factor has {widest} rows; factors are compared up to {WIDEST}")
    return found


def small_blocks(problem: Problem, module: nn.Module) -> None:
    """Raises NotApplicable where a layer's whole block would be too large, or takes a column for each parameter."""
    size = max((m.in_features + 1) * m.out_features for m in layers_of(module))
    if size > LARGEST:
        raise NotApplicable(f"a layer's block has {size} rows; blocks are compared up to {LARGEST}")
    if is_large(problem):
        raise NotApplicable("a layer's block takes a column for each parameter, and there are too many")


Change = Callable[[nn.Module], None]


def gather(subject: Subject, ended: Problem, sink: Sink, change: Change = lambda _: None) -> list[nn.Linear]:
    """Fill a sink along one adjoint solve for each factor of the loss's Hessian; the layers, in their order."""
    if subject.engine.target != "flow":
        raise Unsupported(f"{subject.engine.name} differentiates its steps: there is no adjoint solve")
    rows = factor_rows(ended.loss, solution(ended).value[-1])
    if method_of(subject).last_interval and len(ended.ts) > 2:
        ended = ended.with_(y0=solution(ended).value[-2], ts=ended.ts[-2:], loss=ended.loss.tail(len(ended.ts) - 2))

    def run(module: nn.Module, y0: Tensor, ts: Tensor, _: object) -> list[nn.Linear]:
        layers = layers_of(module)
        change(module)
        gathering = Gather(module, sink)
        with gathering:
            for i in range(rows.shape[1]):
                row = tensor(rows[:, i].copy())
                subject.engine.gradient(module, subject.solver, y0, ts, lambda y, row=row: (row * y[-1]).sum())
        gathering.finish()
        return layers

    try:
        return subject.observe(ended, run)
    except CurvatureError as reason:
        raise Unsupported(str(reason)) from None


def factors_of_layers(subject: Subject, ended: Problem) -> list[Factors]:
    """The Kronecker factors of each layer, as the subject gathers them. Gathered once in a unit of work."""
    found, cost = _kept_factors(subject, method_of(subject), Posed(ended, losses=True))
    charge(cost)
    return [Factors(f.A.clone(), f.B.clone()) for f in found]


@kept_in_unit
def _kept_factors(subject: Subject, method: Method, posed: Posed) -> tuple[list[Factors], Meter]:
    ended, sums = posed.problem, method.sums()
    layers, cost = to_be_kept(lambda: gather(subject, ended, sums))
    rank = factor_rows(ended.loss, solution(ended).value[-1]).shape[1]
    found = sums.factors(along=set(layers), reduction="sum", rank=rank)
    if not set(layers) <= set(found):  # its output may go another way than into the field's value, as in an energy
        module = replace(subject, around=()).module(ended)
        only_in_layers(module, layers_of(module), ended)
    return [method.factors(found[layer], ended.batch) for layer in layers if layer in found], cost


def blocks_of_layers(subject: Subject, ended: Problem) -> list[Blocks | None]:
    """What is known of each layer's samples, as the subject gathers it; None of a layer that takes no part.

    Gathered once in a unit of work.
    """
    found, cost = _kept_blocks(subject, method_of(subject), Posed(ended, losses=True))
    charge(cost)
    return [b and Blocks(b.integrals.clone(), b.A.clone(), b.B.clone()) for b in found]


@kept_in_unit
def _kept_blocks(subject: Subject, _method: Method, posed: Posed) -> tuple[list[Blocks | None], Meter]:
    samples = SampleIntegrals()
    layers, cost = to_be_kept(lambda: gather(subject, posed.problem, samples))
    blocks = samples.blocks("sum")
    return [blocks.get(layer) for layer in layers], cost


def flat(factors: list[Factors]) -> Array:
    """All A and B one after the other, as one row of numbers."""
    return np.concatenate([m.numpy().ravel() for f in factors for m in (f.A, f.B)])


def unflat(subject: Subject, ended: Problem, flat: Array) -> list[Factors]:
    """The factors of each layer from what `flat` gave. Raises NotApplicable for a layer that takes no part."""
    sizes = [(m.in_features + (m.bias is not None), m.out_features) for m in layers_of(subject.module(ended))]
    if sum(a * a + b * b for a, b in sizes) != len(flat):
        raise NotApplicable("a layer takes no part in the field")
    found: list[Factors] = []
    for a, b in sizes:
        parts, flat = (flat[: a * a].reshape(a, a), flat[a * a : a * a + b * b].reshape(b, b)), flat[a * a + b * b :]
        found.append(Factors(*(tensor(p.copy()) for p in parts)))
    return found


def units(subject: Subject, ended: Problem, flat: Array) -> Array:
    """Each factor's norm, at each of its numbers: what is off in a small factor counts as in a large one."""
    norms: list[Array] = []
    for f in unflat(subject, ended, flat):
        norms += [np.full(m.numel(), max(float(m.norm()), 1e-300)) for m in (f.A, f.B)]
    return np.concatenate(norms)


@kept(32)
def ended_problem(problem: Problem) -> Problem:
    """The problem with the loss of its last time alone. Raises NotApplicable for a loss that does not look there."""
    ended = terminal(problem)
    if not factor_rows(ended.loss, solution(ended).value[-1]).any():
        raise NotApplicable("the loss does not look at the last time")
    return ended


def of_layers_alone(subject: Subject, problem: Problem) -> Problem:
    """The ended problem of a field whose weights act through their layers alone: others have more in their blocks."""
    ended = ended_problem(problem)
    module = replace(subject, around=()).module(ended)
    small_blocks(ended, module)
    only_in_layers(module, layers_of(module), ended)
    return ended
