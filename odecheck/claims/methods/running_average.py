"""SNOpt's step as published: squares of gradients, averaged in the eigenbases of a refresh, at every step (OPT-7)."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from odecheck_reference import Bounded, Problem
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from odecheck.claim import claim
from odecheck.claims.shared.dense_steps import EPS, curvature_refused, matrix_of
from odecheck.claims.shared.kit import of_kit
from odecheck.claims.shared.observed_curvature import ended_problem, layers_of
from odecheck.curvature import Factors, Gather, KroneckerSums
from odecheck.engines.base import graph_of
from odecheck.errors import NotApplicable
from odecheck.mutants import optimizers as wrong
from odecheck.subject import Subject

from .refreshes import moved, quadratic, rows_of

AVERAGE = 0.6
# the factor of all parameters, and the rows, at five steps, of which the first and the fourth are refreshes
STEPS, REFRESH = ((1.0, 5), (1.1, 5), (0.9, 3), (1.25, 4), (0.8, 4)), 3
# of the largest product of eigenvalues: so that neither the spectrum nor the damping hides the other
DAMPED = 0.1


@dataclass(eq=False)
class _Layer:
    """What the rule keeps of one layer, in numpy, and by how much rounding may turn its eigenbases."""

    columns: Array
    outputs: Array
    spectrum: Array
    turned: float

    @classmethod
    def of(cls, factors: Factors) -> _Layer:
        (alpha, columns), (beta, outputs) = (np.linalg.eigh(m.numpy()) for m in (factors.A, factors.B))
        gaps = [float(np.min(np.diff(x), initial=np.inf) / np.max(np.abs(x))) for x in (alpha, beta)]
        turned = float(64 * EPS / max(min(gaps), EPS))
        return cls(columns, outputs, np.outer(beta.clip(0), alpha.clip(0)), turned)

    def step(self, gradient: Array, samples: int, damping: float) -> Array:
        inside = self.outputs.T @ gradient @ self.columns
        self.spectrum = AVERAGE * self.spectrum + (1 - AVERAGE) * samples * inside**2
        return np.asarray(self.outputs @ (inside / (self.spectrum + damping)) @ self.columns.T, dtype=np.float64)


@dataclass(eq=False)
class _Compared:
    """Steps that were made, what the rule makes of the same gradients, and bars."""

    seen: list[Array] = field(default_factory=list[Array])
    right: list[Array] = field(default_factory=list[Array])
    bars: list[Array] = field(default_factory=list[Array])

    def add(self, layer: nn.Linear, expected: Array, turned: float, condition: float) -> None:
        size = float(np.max(np.abs(expected)))
        self.seen.append(matrix_of(layer).ravel() / size)
        self.right.append(expected.ravel() / size)
        self.bars.append(np.full(expected.size, expected.size * condition * turned))

    @property
    def both(self) -> tuple[Bounded, Bounded]:
        seen, right, bars = (np.concatenate(rows) for rows in (self.seen, self.right, self.bars))
        return Bounded(seen), Bounded(right, {"eigenbases turned by rounding": bars})


@claim(
    "OPT-7",
    source="arXiv:2109.14158 and its published code: running second moments in the eigenbasis",
    resolution=1e-8,
    mutants=[
        wrong.UNAVERAGED,
        wrong.UNROTATED,
        wrong.UNCOUNTED,
        wrong.OF_THE_STEP,
        wrong.SWAPPED,
        wrong.OLD_SPECTRUM,
        wrong.STALE,
    ],
)
def the_published_rule(subject: Subject, problem: Problem) -> tuple[Bounded, Bounded]:
    """Five steps, two of them refreshes, are s ← a s + (1 − a) n (U_Bᵀ G U_A)², U_B [(U_Bᵀ G U_A) ⊘ (s + ε)] U_Aᵀ.

    s = β αᵀ at a refresh, from A and B that are gathered a second time, on a copy of the module that no optimizer ever
    saw; G is the gradient of a mean over n rows. Parameters and n change from step to step. Written out in numpy.
    Eigenvectors of nearly equal eigenvalues are any basis of their span, and the rule is not invariant under them: the
    bar grows with eps / gap.
    """
    ended = ended_problem(problem)

    def observe(module: nn.Module, y0: Tensor, ts: Tensor, _: Any) -> _Compared:
        attached, compared, twin = graph_of(subject.engine).attached, _Compared(), copy.deepcopy(module)
        layers, others = layers_of(module), layers_of(twin)
        kept: list[_Layer] = []
        damping = 0.0
        precondition: Any = None
        for k, (by, count) in enumerate(STEPS):
            start = rows_of(y0, count)
            for one in (module, twin):
                moved(one, by)
                one.zero_grad()
            sums = KroneckerSums()
            with (gather := Gather(twin, sums)):
                quadratic(attached(twin, subject.solver, start, ts)).backward()
            gather.finish()
            if k % REFRESH == 0:
                factors = sums.factors(along=set(others), reduction="mean", rank=1)
                kept = [_Layer.of(factors[other]) for other in others]
            if precondition is None:
                damping = DAMPED * max(float(one.spectrum.max()) for one in kept)
                if not damping > 0:
                    raise NotApplicable("no layer has a curvature")
                options = {"damping": damping, "refresh": REFRESH, "average": AVERAGE, "reduction": "mean"}
                precondition = of_kit(subject, "optimizer")(module, spectrum="running", **options)
            quadratic(attached(module, subject.solver, start, ts)).backward()
            gradients = [matrix_of(other) for other in others]
            precondition.step(samples=count)
            for layer, one, gradient in zip(layers, kept, gradients, strict=True):
                expected = one.step(gradient, count, damping)
                compared.add(layer, expected, one.turned, 1 + float(one.spectrum.max()) / damping)
        return compared

    with curvature_refused():
        return subject.observe(ended, observe).both
