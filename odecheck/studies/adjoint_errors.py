"""Numerical errors of adjoint derivatives of first and second order, for each solver, on a trained classifier.

The question of a table of SNOpt (arXiv:2109.14158), asked of the paper's kind of model: the convolutional classifier of
`odecheck train digits-conv`, trained and then taken to float64, on 32 test images. For each solver:

- gradient: dL/dθ of the field's parameters, by torchdiffeq's adjoint;
- at the start: dL/dy(t0), the adjoint's end, relative likewise;
- factors: A and B of SNOpt's curvature, gathered along the same adjoint solve, the larger error of all layers;
- product: the Gauss–Newton matrix times one direction in the field's parameters, solved as a tangent and an adjoint.

Errors are those of the L2 norm, relative to that of the truth, which is dopri8's at 1e-9; its own error is at most the
last row's, the distance to dopri5 at 1e-8. Numbers are geometric means over the trainings. Evaluations are of the
gradient: forward and backward. The field has tanh in the place of ReLU, whose kinks a solver steps over: between them
there is no order, and a truth to nine digits takes thousands of steps.

    python -m odecheck.studies.adjoint_errors reports
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from odecheck import curvature, second_order, tasks
from odecheck.errors import CurvatureError
from odecheck.fields import NODELayer
from odecheck.solvers import Adaptive, FixedStep, Solver
from odecheck.studies.kept_trainings import geometric
from odecheck.tasks.images import ConvClassifier
from odecheck.training.loop import Training, Trial
from odecheck.training.rows import NAN
from odecheck.training.task import Batch, Data, Setting

QUANTITIES = ("gradient", "at the start", "factors", "product")
TRUTH, SECOND = Adaptive("dopri8", rtol=1e-9, atol=1e-11), Adaptive("dopri5", rtol=1e-8, atol=1e-10)
SOLVERS: tuple[Solver, ...] = (
    *(
        Adaptive(method, rtol=10.0**-k, atol=10.0**-k)
        for method in ("adaptive_heun", "bosh3", "dopri5", "dopri8")
        for k in (2, 3, 4, 6)
    ),
    *(FixedStep(method, 1 / n) for method in ("euler", "midpoint", "rk4") for n in (4, 16)),
)
WIDTH, EPOCHS, SEEDS, IMAGES = 8, 6, 2, 32


@dataclass(frozen=True)
class Errors:
    """What one solver is off by on one model.

    Attributes:
        seed: of the training.
        trained: or as it was before.
        solver: how it was solved.
        evaluations: of the field, for the gradient.
        errors: relative, of each of `QUANTITIES`; NaN where there is none.
        accuracy: of the trained model on the test rows.
    """

    seed: int
    trained: bool
    solver: str
    evaluations: int
    errors: tuple[float, ...]
    accuracy: float = NAN


class Smooth(ConvClassifier):
    """The classifier with tanh in its field."""

    def build(self, model: str, setting: Setting, data: Data) -> nn.Module:
        module = super().build(model, setting, data)
        _layer(module)[1].field.activation = nn.Tanh()
        return module


def classifier(seed: int, *, epochs: int = EPOCHS, width: int = WIDTH) -> tuple[nn.Module, nn.Module, Batch, float]:
    """The model at its start and trained, in float64, with images and labels of the test rows, and its accuracy."""
    found = tasks.find("digits-conv")
    task = Smooth(found.name, found.summary, found.source, found.settings, models=found.models)
    setting = task.setting()
    setting = replace(setting, size=dict.fromkeys(setting.size, width), epochs=epochs, evaluate_every=None)
    data = task.load(None, setting)
    training = Training(Trial(task, setting, "ConvNODE", "adam", seed, 0.01), data)
    start = task.build("ConvNODE", setting, data)
    start.load_state_dict(training.module.state_dict())
    rows = list(training.rows())
    if rows and rows[-1].message:
        raise RuntimeError(f"the training of seed {seed} was stopped: {rows[-1].message}")
    trained = task.build("ConvNODE", setting, data)  # without the hooks of what counted
    trained.load_state_dict(training.module.state_dict())
    x, label = data.test
    return start.double(), trained.double(), (x[:IMAGES].double(), label[:IMAGES]), rows[-1].accuracy if rows else NAN


def derivatives(model: nn.Module, batch: Batch, solver: Solver) -> tuple[dict[str, list[Tensor]], int]:
    """Each quantity as tensors, empty where the solver has none, and the evaluations of the gradient."""
    place, layer = _layer(model)
    before, after = cast(nn.Sequential, model)[:place], cast(nn.Sequential, model)[place + 1 :]
    x, label = batch
    layer.solver = solver
    theta = list(layer.field.parameters())
    begin = before(x).detach().requires_grad_()

    def loss(end: Tensor) -> Tensor:
        return nn.functional.cross_entropy(after(end), label)

    seen = list[int]()
    counting = layer.field.register_forward_pre_hook(lambda _module, _given: seen.append(1))
    try:
        at_start, *gradient = torch.autograd.grad(loss(layer(begin)), [begin, *theta])
    finally:
        counting.remove()
    product = _product(layer, solver, begin.detach(), loss)
    found = {"gradient": gradient, "at the start": [at_start], "factors": [], "product": product}
    try:
        factors: Any = cast(Any, curvature).kronecker_factors(
            model, lambda: cast(Any, loss(layer(before(x)))).backward()
        )
        found["factors"] = [part for one in factors.values() for part in (one.A, one.B)]
    except CurvatureError:
        pass  # a method without a quadrature
    model.zero_grad()
    return found, len(seen)


def _product(layer: NODELayer, solver: Solver, begin: Tensor, loss: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The Gauss–Newton matrix times one direction in the field's parameters."""
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in layer.field.parameters()]
    times = torch.tensor([0.0, 1.0], dtype=begin.dtype)

    def options(*_of: Any, **how: Any) -> Any:
        return how

    how: Any = solver.solve(options, layer.field, begin, times)

    def of_states(y: Tensor) -> Tensor:
        return loss(y[-1])

    found: Any = cast(Any, second_order).gauss_newton_product(
        layer.field, begin, times, of_states, (torch.zeros_like(begin), direction), **how
    )
    return list(found[1])


def _layer(model: nn.Module) -> tuple[int, NODELayer]:
    """The place of the layer that solves, and itself."""
    ((place, layer),) = ((place, layer) for place, layer in enumerate(model.children()) if isinstance(layer, NODELayer))
    return place, layer


def error(found: Sequence[Tensor], truth: Sequence[Tensor], *, apart: bool) -> float:
    """Relative in the L2 norm; apart: the largest of the tensors' own errors. NaN where nothing was found."""
    if not found:
        return float("nan")
    if apart:
        return max(error([a], [b], apart=False) for a, b in zip(found, truth, strict=True))
    off = sum(float((a - b).square().sum()) for a, b in zip(found, truth, strict=True))
    return (off / sum(float(b.square().sum()) for b in truth)) ** 0.5


def study(
    solvers: Sequence[Solver] = SOLVERS, *, seeds: int = SEEDS, epochs: int = EPOCHS, width: int = WIDTH
) -> Iterator[Errors]:
    """Every solver on every training, before it and after; the truth's own error as the solver "truth"."""
    for seed in range(seeds):
        start, trained, batch, accuracy = classifier(seed, epochs=epochs, width=width)
        for model in (start, trained):
            truth, _ = derivatives(model, batch, TRUTH)
            for solver in (*solvers, SECOND):
                found, evaluations = derivatives(model, batch, solver)
                off = tuple(error(found[q], truth[q], apart=q == "factors") for q in QUANTITIES)
                name = "truth" if solver is SECOND else solver.name
                yield Errors(seed, model is trained, name, evaluations, off, accuracy if model is trained else NAN)


def to_markdown(found: Sequence[Errors]) -> str:
    """A table for the trained models and one for those at their start."""
    lines = [
        "# Errors of adjoint derivatives for each solver",
        "",
        EXPLANATION,
        "",
        "![errors](adjoint_errors.png)",
        "",
    ]
    for trained, title in ((True, "Trained"), (False, "Before training")):
        mine = [one for one in found if one.trained == trained]
        lines += [f"## {title}", ""]
        if trained:
            seen = {one.seed: f"{one.accuracy:.3f}" for one in mine}
            lines += [f"Test accuracies: {', '.join(seen.values())}.", ""]
        lines += [f"| solver | evaluations | {' | '.join(QUANTITIES)} |", "|---" * 6 + "|"]
        for solver in dict.fromkeys(one.solver for one in mine):
            rows = [one for one in mine if one.solver == solver]
            off = [geometric([row.errors[i] for row in rows]) for i in range(len(QUANTITIES))]
            cells = ("–" if x != x else f"{x:.1e}" for x in off)
            evaluations = sum(row.evaluations for row in rows) / len(rows)
            name = "the truth's own" if solver == "truth" else solver
            lines.append(f"| {name} | {evaluations:.0f} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def picture(found: Sequence[Errors], path: Path) -> None:
    """Errors against evaluations, a panel for each quantity, of the trained models."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    figure, axes = plt.subplots(1, len(QUANTITIES), figsize=(14, 3.8), sharey=True, layout="constrained")
    mine = [one for one in found if one.trained and one.solver != "truth"]
    methods = list(dict.fromkeys(one.solver.split("(")[0] for one in mine))
    for i, (axis, quantity) in enumerate(zip(axes, QUANTITIES, strict=True)):
        for place, method in enumerate(methods):
            rows = {one.solver: [r for r in mine if r.solver == one.solver] for one in mine}
            points = [
                (sum(r.evaluations for r in rs) / len(rs), geometric([r.errors[i] for r in rs]))
                for name, rs in rows.items()
                if name.split("(")[0] == method
            ]
            axis.plot(*zip(*sorted(points), strict=True), marker="o", markersize=3, color=f"C{place}", label=method)
        axis.set(xscale="log", yscale="log", xlabel="evaluations of the gradient", title=quantity)
    axes[0].set_ylabel("relative error")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].split("\n\n    python")[0]


def main(folder: str = "reports") -> None:
    """Write adjoint_errors.md and its picture into a folder."""
    torch.set_num_threads(1)
    found = list(study())
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "adjoint_errors.md").write_text(to_markdown(found), encoding="utf-8")
    picture(found, target / "adjoint_errors.png")


if __name__ == "__main__":
    main(*sys.argv[1:2])
