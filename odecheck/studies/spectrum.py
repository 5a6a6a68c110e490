"""Vanishing gradients: ‖∂L/∂h(t)‖ over long horizons, and the eigenvalues that explain it.

NODE, HBNODE, GHBNODE and AdamNODE over the same inner networks f = −∇U, convex U: J is negative semidefinite. In a NODE
every direction of the gradient then decays at the rate of an eigenvalue of J. In a heavy ball the eigenvalues of
M = [[0, I], [J, −γ I]] pair up with sum −γ (HB-5): one of every pair has a real part of at least −γ/2, and the
determinant decays as e^{−γ d (T − t)} whatever J is (HB-7). Over long times that is much slower than J's own decay.
An AdamNODE, here with the denominator D = √softplus(v) + ε of the authors' code, is a heavy ball of damping α1 where f
has faded: m and v are near 0 there, and λ² + α1 λ − α1 j/D = 0 for each eigenvalue j of J, so that one of every pair
has a real part of at least −α1/2.

    python -m odecheck.studies.spectrum reports
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Adam, Field, Fixed, GeneralisedHeavyBall, GradientFlow, HeavyBall

from odecheck.records.table import write_table

GAMMA, ALPHA = 0.1, 0.5
END, POINTS, SEEDS = 20.0, 41, 12
COLOURS = ("#d55e00", "#0072b2", "#e69f00", "#cc79a7")
_MADE: dict[str, Callable[[Any], Any]] = {
    "NODE": lambda f: f,
    "HBNODE": lambda f: HeavyBall(f, Fixed(GAMMA)),
    "GHBNODE": lambda f: GeneralisedHeavyBall(f, Fixed(GAMMA), Fixed(0.0)),
    "AdamNODE": lambda f: Adam(f, Fixed(ALPHA), Fixed(0.75), 1e-3, "code"),
}
MODELS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(_MADE)


@dataclass(frozen=True, eq=False)
class Horizon:
    """One model and network.

    Attributes:
        model: its name.
        seed: of the network.
        back: T − t (points,).
        norms: ‖∂L/∂h(t)‖ for a unit slope of L in h(T) (points,).
        eigenvalues: of ∂F/∂y along the solution (points, state).
    """

    model: str
    seed: int
    back: Array
    norms: Array
    eigenvalues: Any


def horizon(model: str, seed: int, *, end: float = END, points: int = POINTS) -> Horizon:
    """The adjoint of one model, solved backwards along the dense forward solution."""
    rng = np.random.default_rng(seed)
    inner = GradientFlow(2, 4)
    field: Field = MODELS[model](inner)
    theta = rng.normal(size=inner.params)
    d, state = inner.outputs, field.state
    y0 = np.zeros(state)
    y0[:d] = rng.normal(size=d)
    slope = np.zeros(state)
    slope[:d] = (angle := rng.normal(size=d)) / np.linalg.norm(angle)

    def value(t: float, y: Array) -> Array:
        return field.jet(t, y[None], theta, 0).value[0]

    def jacobian(t: float, y: Array) -> Array:
        first = field.jet(t, y[None], theta, 1).first
        assert first is not None
        return first[0, :, 1 : 1 + state]

    solve_ivp: Any = import_module("scipy.integrate").solve_ivp
    forward: Any = solve_ivp(value, (0.0, end), y0, method="DOP853", rtol=1e-10, atol=1e-12, dense_output=True)
    times = np.linspace(end, 0.0, points)

    def adjoint(t: float, a: Array) -> Array:
        return -jacobian(t, forward.sol(t)).T @ a

    backward: Any = solve_ivp(
        adjoint,
        (end, 0.0),
        slope,
        method="DOP853",
        rtol=1e-8,
        atol=1e-24,
        t_eval=times,
    )
    eigenvalues = np.stack([np.linalg.eigvals(jacobian(t, forward.sol(t))) for t in times])
    return Horizon(model, seed, end - times, np.linalg.norm(backward.y[:d], axis=0), eigenvalues)


def study(models: Sequence[str] = tuple(MODELS), *, seeds: int = SEEDS, end: float = END) -> list[Horizon]:
    """Every model on the same networks."""
    return [horizon(model, seed, end=end) for model in models for seed in range(seeds)]


def to_markdown(found: Sequence[Horizon]) -> str:
    """Quartiles over the networks of the norm at a quarter, a half and all of the horizon."""
    end = found[0].back[-1]
    marks = [end / 4, end / 2, end]
    lines = [
        "# Gradients over long horizons",
        "",
        EXPLANATION,
        "",
        "Norm of ∂L/∂h(t), which is 1 at t = T: lower quartile, median and upper quartile over the networks.",
        "",
        "| model | networks | " + " | ".join(f"T − t = {m:g}" for m in marks) + " |",
        "|---|---|" + "---|" * len(marks),
    ]
    for model in dict.fromkeys(f.model for f in found):
        norms = np.stack([f.norms for f in found if f.model == model])
        at = [int(np.argmin(np.abs(found[0].back - m))) for m in marks]
        cells = (", ".join(f"{q:.1e}" for q in np.quantile(norms[:, i], (0.25, 0.5, 0.75))) for i in at)
        lines.append(f"| {model} | {len(norms)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def norms_table(found: Sequence[Horizon]) -> Any:
    """A pandas DataFrame: model, seed, back (T − t), norm (‖∂L/∂h(t)‖)."""
    pd: Any = import_module("pandas")
    return pd.DataFrame(
        [(f.model, f.seed, back, norm) for f in found for back, norm in zip(f.back, f.norms, strict=True)],
        columns=["model", "seed", "back", "norm"],
    )


def eigenvalues_table(found: Sequence[Horizon]) -> Any:
    """A pandas DataFrame: model, seed, back (T − t), real, imag: one row for each eigenvalue of ∂F/∂y."""
    pd: Any = import_module("pandas")
    rows = [
        (f.model, f.seed, back, one.real, one.imag)
        for f in found
        for back, many in zip(f.back, f.eigenvalues, strict=True)
        for one in many
    ]
    return pd.DataFrame(rows, columns=["model", "seed", "back", "real", "imag"])


def picture(found: Sequence[Horizon], path: Path) -> None:
    """Left: norms of the gradient, median and quartiles. Right: eigenvalues along the solutions."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for model, colour in zip(dict.fromkeys(f.model for f in found), COLOURS, strict=False):
        mine = [f for f in found if f.model == model]
        low, middle, high = np.quantile(np.stack([f.norms for f in mine]), (0.25, 0.5, 0.75), axis=0)
        left.plot(mine[0].back, middle, color=colour, label=model)
        left.fill_between(mine[0].back, low, high, color=colour, alpha=0.2, linewidth=0)
        every: Any = np.concatenate([f.eigenvalues.ravel() for f in mine])
        right.plot(every.real, every.imag, ".", color=colour, markersize=2, alpha=0.5)
    left.set(yscale="log", xlabel="T − t", ylabel="‖∂L/∂h(t)‖", title="gradient of the loss in earlier states")
    left.legend(frameon=False)
    right.axvline(-GAMMA / 2, color="black", linewidth=0.7, linestyle="--")
    right.annotate("−γ/2", (-GAMMA / 2, right.get_ylim()[1]), xytext=(4, -12), textcoords="offset points", fontsize=9)
    right.set(xlabel="real part", ylabel="imaginary part", title="eigenvalues of ∂F/∂y along the solutions")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].split("\n\n    python")[0]


def main(folder: str = "reports") -> None:
    """Write spectrum.md, its picture and its two tables into a folder."""
    found = study()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    text = to_markdown(found) + "\n![gradients over long horizons](spectrum.png)\n"
    (target / "spectrum.md").write_text(text, encoding="utf-8")
    picture(found, target / "spectrum.png")
    write_table(target / "gradient_norms.parquet", norms_table(found))
    write_table(target / "eigenvalues.parquet", eigenvalues_table(found))


if __name__ == "__main__":
    main(*sys.argv[1:2])
