"""Momentum on two valleys: gradient flow, heavy ball and generalised heavy ball on Rosenbrock's and Beale's functions.

The picture with which heavy-ball neural ODEs are explained (arXiv:2110.04840, figure 2): with f = −∇V in the place of a
network,

    gradient flow           h' = −∇V(h),
    heavy ball              h' = m,          m' = −γ m − ∇V(h),
    generalised heavy ball  h' = tanh(m),    m' = −γ m − ∇V(h),

all from one start and with m = 0; starts and γ = 1 are ours. The spring ξ of a GHBNODE is left out: it would move the
minimum. These are the fields of odecheck's reference around one f, solved by Dormand and Prince's method of order 5
(scipy's RK45) at a tolerance of 1e-6. Of a gradient flow V can only fall, of a heavy ball V + |m|²/2 can only fall, and
of the generalised one V + Σ ln cosh m: what rises beyond the tolerance is a mistake, and the last column says how much.

    python -m odecheck.studies.momentum reports
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
from odecheck_reference.fields import Field, Fixed, GeneralisedHeavyBall, HeavyBall
from odecheck_reference.fields.assembly import Assembly, OwnRate
from odecheck_reference.fields.field import AnyArray, Jet

GAMMA, END, RTOL = 1.0, 20.0, 1e-6
NEAR = 1e-3  # of V, which is 0 at the minimum: there a trajectory has arrived
COLOURS = ("#d55e00", "#0072b2", "#009e73")


@dataclass(frozen=True)
class Valley:
    """A function of the plane with V = 0 at its minimum.

    Attributes:
        name: of the function.
        residuals: r(x, y) and their slopes in x and in y: V = Σ r².
        start: from where all go down.
        minimum: where V is 0.
    """

    name: str
    residuals: Callable[[Any, Any], tuple[tuple[Any, Any, Any], ...]]
    start: tuple[float, float]
    minimum: tuple[float, float]

    def value(self, x: Any, y: Any) -> Any:
        """V."""
        return sum(r**2 for r, _, _ in self.residuals(x, y))

    def slope(self, x: Any, y: Any) -> tuple[Any, Any]:
        """∇V."""
        found = self.residuals(x, y)
        return sum(2 * r * by_x for r, by_x, _ in found), sum(2 * r * by_y for r, _, by_y in found)


def _rosenbrock(x: Any, y: Any) -> tuple[tuple[Any, Any, Any], ...]:
    return (1 - x, -1.0, 0.0), (10 * (y - x**2), -20 * x, 10.0)


def _beale(x: Any, y: Any) -> tuple[tuple[Any, Any, Any], ...]:
    return tuple((c - x + x * y**k, y**k - 1, k * x * y ** (k - 1)) for c, k in ((1.5, 1), (2.25, 2), (2.625, 3)))


VALLEYS = (
    Valley("Rosenbrock", _rosenbrock, (-1.2, 1.0), (1.0, 1.0)),
    Valley("Beale", _beale, (1.0, 1.0), (3.0, 0.5)),
)


@dataclass(frozen=True)
class Downhill(OwnRate):
    """h' = −∇V(h) as a field of the reference, of values alone, without parameters."""

    valley: Valley

    @property
    def state(self) -> int:
        return 2

    @property
    def params(self) -> int:
        return 0

    @property
    def parts(self) -> Mapping[str, slice]:
        return {"h": slice(0, 2)}

    def jet(self, t: Any, y: AnyArray, theta: AnyArray, order: int) -> Jet:
        if order > 0:
            raise ValueError("this field has no derivatives: nothing here differentiates it")
        out = Assembly(t, y, theta, self.state, order)
        out.add(slice(0, 2), -np.stack(self.valley.slope(out.y[:, 0], out.y[:, 1]), axis=1))
        return out.jet()


_MADE: dict[str, tuple[Callable[[Any], Any], Callable[[Array], Array]]] = {
    "gradient flow": (lambda f: f, lambda m: 0 * m),
    "heavy ball": (lambda f: HeavyBall(f, Fixed(GAMMA)), lambda m: m**2 / 2),
    "generalised heavy ball": (
        lambda f: GeneralisedHeavyBall(f, Fixed(GAMMA), Fixed(0.0)),
        lambda m: np.logaddexp(m, -m) - np.log(2),
    ),
}
# name → the field around f, and the energy of each entry of m
MODELS: Mapping[str, tuple[Callable[[Any], Any], Callable[[Array], Array]]] = MappingProxyType(_MADE)


@dataclass(frozen=True, eq=False)
class Way:
    """One trajectory.

    Attributes:
        valley: on which it is.
        model: its name.
        times: (points,).
        states: (points, state), h first.
        values: V along it (points,).
        evaluations: of the field.
        rise: the most by which its energy rises from one point to a later one, relative to V at the start.
    """

    valley: Valley
    model: str
    times: Array
    states: Array
    values: Array
    evaluations: int
    rise: float

    @property
    def arrival(self) -> float:
        """The time from which on V stays below NEAR; inf where it does not."""
        above = np.flatnonzero(self.values >= NEAR)
        if not len(above):
            return float(self.times[0])
        return float(self.times[above[-1] + 1]) if above[-1] + 1 < len(self.times) else float("inf")

    @property
    def length(self) -> float:
        """Of the way in the plane."""
        return float(np.linalg.norm(np.diff(self.states[:, :2], axis=0), axis=1).sum())

    @property
    def crossings(self) -> int:
        """How often V has a maximum on the way: how often the ball climbs a side of the valley."""
        rising = np.diff(self.values) > RTOL * self.values[0]
        return int((rising[:-1] & ~rising[1:]).sum())


def trajectory(
    valley: Valley,
    model: str,
    *,
    end: float = END,
    models: Mapping[str, tuple[Callable[[Any], Any], Callable[[Array], Array]]] = MODELS,
) -> Way:
    """The way of one model down one valley, at 2,001 equal times."""
    make, energy = models[model]
    field: Field = make(Downhill(valley))
    y0 = np.zeros(field.state)
    y0[:2] = valley.start
    none = np.zeros(0)
    solve_ivp: Any = import_module("scipy.integrate").solve_ivp
    times = np.linspace(0.0, end, 2001)

    def rate(t: float, y: Array) -> Array:
        return field.jet(t, y[None], none, 0).value[0]

    solved: Any = solve_ivp(
        rate,
        (0.0, end),
        y0,
        method="RK45",
        rtol=RTOL,
        atol=RTOL,
        t_eval=times,
    )
    states = solved.y.T
    values = np.asarray(valley.value(states[:, 0], states[:, 1]))
    whole = values + energy(states[:, 2:]).sum(axis=1)
    rise = float((whole - np.minimum.accumulate(whole)).max() / values[0])
    return Way(valley, model, times, states, values, int(solved.nfev), rise)


def study(valleys: Sequence[Valley] = VALLEYS, *, end: float = END) -> list[Way]:
    """Every model on every valley."""
    return [trajectory(valley, model, end=end) for valley in valleys for model in MODELS]


def to_markdown(found: Sequence[Way]) -> str:
    """A row for each trajectory."""
    lines = [
        "# Momentum on two valleys",
        "",
        EXPLANATION,
        "",
        "![momentum](momentum.png)",
        "",
        f"| function | model | from when on V < {NEAR:g} | V at the end | largest V / that of the start | climbs "
        "| length of the way | evaluations | energy rises by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        arrived = f"{one.arrival:.2f}" if np.isfinite(one.arrival) else f"not by {one.times[-1]:g}"
        lines.append(
            f"| {one.valley.name} | {one.model} | {arrived} | {one.values[-1]:.1e} | "
            f"{one.values.max() / one.values[0]:.3g} | {one.crossings} | {one.length:.2f} | {one.evaluations} "
            f"| {one.rise:.1e} |"
        )
    return "\n".join(lines) + "\n"


def picture(found: Sequence[Way], path: Path) -> None:
    """For each valley: the ways over its level lines, and V against time."""
    mpl: Any = import_module("matplotlib")
    mpl.use("Agg")
    plt: Any = import_module("matplotlib.pyplot")
    valleys = list(dict.fromkeys(one.valley for one in found))
    figure, axes = plt.subplots(len(valleys), 2, figsize=(11, 4.2 * len(valleys)), layout="constrained", squeeze=False)
    for (plane, fall), valley in zip(axes, valleys, strict=True):
        mine = [one for one in found if one.valley == valley]
        every = np.concatenate([one.states[:, :2] for one in mine] + [np.array([valley.minimum])])
        low, high = np.asarray(every.min(axis=0), float), np.asarray(every.max(axis=0), float)
        low, high = low - 0.12 * (high - low), high + 0.12 * (high - low)
        across, up = (np.linspace(float(a), float(b), 300) for a, b in zip(low, high, strict=True))
        x, y = np.meshgrid(across, up)
        plane.contour(x, y, np.log10(valley.value(x, y) + 1e-4), levels=18, colors="#bbbbbb", linewidths=0.6)
        for one, colour in zip(mine, COLOURS, strict=False):
            plane.plot(one.states[:, 0], one.states[:, 1], color=colour, linewidth=1.2, label=one.model)
            fall.plot(one.times, np.maximum(one.values, 1e-12), color=colour, linewidth=1.2, label=one.model)
        plane.plot(*valley.start, "ks", markersize=5)
        plane.plot(*valley.minimum, "k*", markersize=11)
        plane.set(title=valley.name, xlabel="x", ylabel="y", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        fall.axhline(NEAR, color="black", linewidth=0.7, linestyle="--")
        fall.set(yscale="log", xlabel="time", ylabel="V", title=f"{valley.name}: V along the way")
        plane.legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


EXPLANATION = (__doc__ or "").split("\n\n", 1)[1].split("\n\n    python")[0]


def main(folder: str = "reports") -> None:
    """Write momentum.md and its picture into a folder."""
    found = study()
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "momentum.md").write_text(to_markdown(found), encoding="utf-8")
    picture(found, target / "momentum.png")


if __name__ == "__main__":
    main(*sys.argv[1:2])
