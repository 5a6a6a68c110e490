"""Kronecker curvature of a layer that is called many times along a solve.

One field y' = V tanh(W (y, t) + b), three samples, squared error at the end. *Exact* is the layer's block of the
Gauss–Newton matrix. A ⊗ B and its re-estimated spectrum are gathered along an adjoint solve; curvlinops
sees the same solve unrolled into 40 explicit Euler steps, a network that calls the layer 40 times.

    python -m odecheck.studies.curvature reports/curvature.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from odecheck.curvature import (
    Blocks,
    Eigenbasis,
    exact_blocks,  # pyright: ignore[reportUnknownVariableType]
)
from odecheck.ode import odeint  # pyright: ignore[reportUnknownVariableType]

D = torch.float64
SAMPLES, STEPS = 3, 40


class Field(nn.Module):
    """y' = V tanh(W (y, t) + b), of two states."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2, bias=False)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(torch.cat([y, t.expand(len(y), 1)], 1))))


class Unrolled(nn.Module):
    """The state at `end` after explicit Euler steps."""

    def __init__(self, field: Field, end: float) -> None:
        super().__init__()
        self.field, self.end = field, end

    def forward(self, y: Tensor) -> Tensor:
        h = self.end / STEPS
        for i in range(STEPS):
            y = y + h * self.field(torch.tensor(i * h, dtype=y.dtype), y)
        return y


def made(samples: int = SAMPLES) -> tuple[Field, Tensor]:
    """The field and its first states (samples, 2), the same in every call."""
    torch.manual_seed(0)  # pyright: ignore[reportUnknownMemberType]
    return Field().to(D), torch.randn(samples, 2, dtype=D)


def blocks(field: Field, y0: Tensor, end: float) -> dict[str, Blocks]:
    """Blocks of the mean over samples and numbers of (y(end) − target)², whatever the target."""
    t = torch.tensor([0.0, end], dtype=D)

    def backward() -> None:
        y = odeint(field, y0, t, rtol=1e-9, atol=1e-11)[-1]
        for i in range(2):  # Φ_yy = 2/2 · I, divided by the number of samples
            y[:, i].mean().backward(retain_graph=True)

    return exact_blocks(field, backward)


@dataclass(frozen=True)
class Peer:
    """Traces of one layer's weight block over the exact one's: matrix → ratio."""

    layer: str
    exact: float
    ratios: dict[str, float]


def peers(end: float = 1.0) -> list[Peer]:
    """Traces by curvlinops on the unrolled solve. Needs curvlinops."""
    from curvlinops import (  # pyright: ignore[reportMissingTypeStubs]
        EKFACLinearOperator,
        GGNLinearOperator,
        KFACLinearOperator,
    )

    operators: Any = (EKFACLinearOperator, KFACLinearOperator, GGNLinearOperator)
    field, y0 = made()
    model, data = Unrolled(field, end), [(y0, torch.zeros_like(y0))]
    mine = blocks(field, y0, end)
    found: list[Peer] = []
    for name in ("first", "last"):
        weight = getattr(field, name).weight
        common: Any = (model, nn.MSELoss(), [weight], data)

        def trace(kind: int, common: Any = common, **how: Any) -> float:
            operator = operators[kind](*common, **how)
            unit = torch.eye(operator.shape[1], dtype=D)
            return float((operator @ unit).trace())

        exact, inputs = trace(2), weight.shape[1]
        ours = mine[name]
        plain = Eigenbasis.of(ours.factors)
        better = plain.reestimated(ours.integrals).dense()
        kept = [o * ours.A.shape[1] + i for o in range(len(weight)) for i in range(inputs)]

        def of_weight(matrix: Tensor, kept: list[int] = kept) -> float:
            return float(matrix.diagonal()[kept].sum())

        ratios = {
            "curvlinops KFAC, expand": trace(1, fisher_type="type-2", kfac_approx="expand") / exact,
            "curvlinops KFAC, reduce": trace(1, fisher_type="type-2", kfac_approx="reduce") / exact,
            "curvlinops EKFAC": trace(0, fisher_type="type-2") / exact,
            "A ⊗ B": of_weight(plain.dense()) / exact,
            "A ⊗ B, spectrum re-estimated": of_weight(better) / exact,
        }
        found.append(Peer(name, exact, ratios))
    return found


def to_markdown(found: Sequence[Peer]) -> str:
    """The study's page: traces, and the two sources of the error of A ⊗ B."""
    names = list(found[0].ratios)
    lines = [
        "# Curvature of a layer inside an ODE solve",
        "",
        (__doc__ or "").split("\n\n    python")[0].strip(),
        "",
        f"## Traces over the exact trace, curvlinops {version('curvlinops-for-pytorch')}",
        "",
        "| layer | exact trace | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    lines += [f"| {p.layer} | {p.exact:.4g} | " + " | ".join(f"{p.ratios[n]:.3g}" for n in names) + " |" for p in found]
    lines += [
        "",
        "## Where the error of A ⊗ B comes from",
        "",
        "Frobenius norms relative to the exact block: of one sample the error is that of time alone, and falls",
        "with the square of the length T of the solve.",
        "",
        "| layer | samples | T | error | decorrelated in time | decorrelated over samples |",
        "|---|---|---|---|---|---|",
    ]
    for samples in (1, SAMPLES):
        field, y0 = made(samples)
        for end in (2.0, 1.0, 0.5, 0.25):
            for name, found_block in blocks(field, y0, end).items():
                s = found_block.split()
                lines.append(f"| {name} | {samples} | {end:g} | {s.total:.3g} | {s.time:.3g} | {s.samples:.2g} |")
    return "\n".join(lines) + "\n"


def main(path: str = "reports/curvature.md") -> None:
    """Write the page."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(to_markdown(peers()), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])
