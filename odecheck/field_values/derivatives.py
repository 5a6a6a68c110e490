"""The derivatives of a torch module against its values alone, in every stratum of time.

One direction at each time goes through t, every row of y and all of theta at once, each in its own unit: the cost does
not depend on the number of parameters, and no kind of mistake is tied to the number of a stratum. What the values say
comes from `differences.slopes`; forward mode is asked for J v, reverse mode for <w, J v> and <w, d²f(v, v)>.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from odecheck_reference.bounded import Array
from torch import Tensor, nn

from .differences import Slopes, slopes
from .line import EPS, Asked, Point, to_torch
from .points import Path, rows, strata
from .seen import Defect, DerivativesSeen, Sample

# uncertainties of this many times the one of the table are taken for true
SAFETY = 10.0
# beyond that, the rounding of a few hundred operations of the field and of its derivative
FLOOR = 1e3 * EPS
# a component whose uncertainty is more than this, in its own size, is not judged
UNCLEAR = 1e-3
# a defect is confirmed beside the point and in other directions: a lie is there as well, a kink is not
TRIES = 3
# a step that moves every variable in its tenth digit
CLOSE = 2.0**-32
# parameters from which on a call takes half as many rows
COSTLY = 10_000
# defects that are confirmed; of a field that has so many the next ones are believed at once
ENOUGH = 4
# the share of places with parameters beside the module's own: a factor of zero hides what stands behind it
MOVED = 0.5


@dataclass(frozen=True, eq=False)
class Asking:
    """What stays the same from place to place: the module, the path, and the length of a step in each variable.

    in_time: Whether directions lead through t; not where the derivative in t alone was seen to be off, so that whatever
    else is off is seen beside it.
    """

    asked: Asked
    path: Path
    features: tuple[int, ...]
    scales: Tensor
    rng: np.random.Generator
    forward: bool
    in_time: bool = True

    def normal(self, like: Tensor) -> Tensor:
        """Normal numbers of a tensor's shape."""
        return to_torch(self.rng.standard_normal(tuple(like.shape)))

    def place(self, t: float) -> tuple[Point, Array]:
        """A point at time t where the field is finite, with its values. Raises ArithmeticError where there is none."""
        theta = self.asked.theta
        if self.rng.random() < MOVED:
            theta = theta + self.scales * to_torch(self.rng.uniform(-0.5, 0.5, len(theta)))
        y = rows(self.path, t, self.rng, thin=len(theta) > COSTLY)
        for parameters in (theta, self.asked.theta):
            at = Point(t, self._shaped(y), parameters)
            value = self.asked.value(at)
            fine = np.all(np.isfinite(value.reshape(len(y), -1)), axis=1)
            if fine.any() and not fine.all():  # outside of the field's domain
                at = replace(at, y=self._shaped(np.where(fine[:, None], y, y[int(np.argmax(fine))])))
                value = self.asked.value(at)
            if np.isfinite(value).all():
                return at, value
            y = np.resize(self.path.at(t), y.shape)
        raise ArithmeticError("the field is not finite there")

    def _shaped(self, y: Array) -> Tensor:
        return torch.tensor(y, dtype=torch.float64).reshape(len(y), *self.features)

    def direction(self, at: Point) -> Point:
        """A step in every variable, each in its own size: a tenth of the interval, a state, a parameter."""
        size = torch.tensor(self.path.size, dtype=torch.float64).reshape(self.features)
        return Point(
            0.1 * self.path.length * float(self.rng.standard_normal()) * self.in_time,
            (at.y.abs() + 0.1 * size) * self.normal(at.y),
            self.scales * self.normal(self.scales),
        )

    def rounding(self, at: Point, value: Array) -> Array:
        """How far values are off by rounding: what moves when every variable moves in its last digits."""
        spread = np.zeros_like(value)
        for _ in range(2):
            spread = np.maximum(spread, np.abs(self.asked.value(self.shaken(at)) - value))
        by_row = np.where(np.isfinite(spread), spread, 0.0).reshape(len(at.y), -1)
        typical = np.broadcast_to(np.median(by_row, axis=0), by_row.shape)
        return 4 * EPS * np.abs(value) + np.maximum(by_row, typical).ravel()

    def shaken(self, at: Point) -> Point:
        """The point with every variable moved in its last digit."""
        y, theta = (torch.addcmul(x, x, self._signs(x), value=2 * EPS) for x in (at.y, at.theta))
        return Point(at.t * (1 + 2 * EPS * float(self.rng.choice((-1, 1)))), y, theta)

    def _signs(self, like: Tensor) -> Tensor:
        bits = np.unpackbits(np.frombuffer(self.rng.bytes(like.numel() // 8 + 1), np.uint8), count=like.numel())
        return to_torch(2.0 * bits - 1).reshape(like.shape)


def ask_derivatives(
    module: nn.Module | Asked,
    path: Path,
    features: tuple[int, ...],
    *,
    samples: int = 256,
    seed: int = 0,
    forward: bool = False,
    second: int = 0,
) -> DerivativesSeen:
    """Hold what automatic differentiation gives of a module against the module's values.

    Args:
        module: Called as module(t, y) with t of shape () and y (rows, *features); a float64 copy of it is asked, or one
            that was made before.
        path: States to ask at, around and beyond.
        features: The shape of one row of the state.
        samples: Strata of the interval, a place in each.
        seed: Of the places and directions.
        forward: Ask forward mode as well; torch takes a second of CPU time to load it, once in a process.
        second: At every so many places also second derivatives, by reverse over reverse; 0 for nowhere.

    Returns:
        One sample for each derivative that was judged, and how many places were not.
    """
    rng = np.random.default_rng(seed)
    asked = module if isinstance(module, Asked) else Asked(module)
    asking = Asking(asked, path, features, asked.scales(), rng, forward)
    found: list[Sample] = []
    judged: list[float] = []
    untouched = set(asked.names if samples else ())
    worst: Defect | None = None
    of_time: Defect | None = None
    confirmed = 0
    for number, t in enumerate(strata(path.times, samples, rng)):
        try:
            at, value = asking.place(float(t))
            now = _sure(asking, at, value, twice=bool(second) and number % second == 0, confirm=confirmed < ENOUGH)
        except ArithmeticError:
            continue
        if now is None:
            continue
        confirmed += now.off
        found += now.samples
        judged.append(float(t))
        untouched &= set(now.untouched)
        if worst is None and any(s.off for s in now.samples):
            worst = _where(asking, at, value, max(now.samples, key=lambda s: s.defect / s.bar))
            if worst.along == ("t",) and not worst.flat and of_time is None:
                asking, of_time, worst, confirmed = replace(asking, in_time=False), worst, None, 0
    return DerivativesSeen(
        tuple(found),
        tuple(judged),
        samples,
        float(path.times[0]),
        float(path.times[-1]),
        worst or of_time,
        tuple(sorted(untouched)),
    )


@dataclass(frozen=True, eq=False)
class _Found:
    samples: list[Sample]
    untouched: tuple[str, ...]

    @property
    def off(self) -> bool:
        return any(s.off for s in self.samples)


def _sure(asking: Asking, at: Point, value: Array, *, twice: bool, confirm: bool) -> _Found | None:
    """What a place says; None where it says nothing that is certain."""
    found = _probe(asking, at, asking.direction(at), value, twice=twice)
    if found is None or not found.off or not confirm:
        return found
    again: list[_Found | None] = []
    for number in range(TRIES):
        beside = replace(at, y=at.y * (1 + 1e-3 * number))
        again.append(_probe(asking, beside, asking.direction(at), asking.asked.value(beside), twice=twice, whole=True))
    off = [x for x in again if x is not None and x.off]
    right = [x for x in again if x is not None and not x.off]
    return off[0] if len(off) > TRIES / 2 else right[0] if len(right) == TRIES else None


def _probe(
    asking: Asking, at: Point, v: Point, value: Array, *, twice: bool = False, whole: bool = False
) -> _Found | None:
    asked = asking.asked
    noise = asking.rounding(at, value)
    true = slopes(lambda h: value if h == 0 else asked.along(at, v, h), noise, whole=whole)
    size = np.where(true.size > 0, true.size, np.max(true.size) or 1.0)
    clear = true.first_bar <= UNCLEAR * size
    if 2 * np.count_nonzero(clear) < len(clear):
        return None
    w = np.where(clear, asking.rng.standard_normal(len(size)) / size, 0.0)
    pulled = asked.reverse_mode(at, v, w, twice=twice)
    pushed = asked.forward_mode(at, v) if asking.forward else None
    # of a field that is ill-conditioned derivatives are as uncertain as values are: looked at where it matters
    loss = pulled.loss
    shaken = 0.0
    if whole:
        near = asking.shaken(at)
        loss += abs(asked.reverse_mode(near, v, w).first - pulled.first)
        beside = None if pushed is None else asked.forward_mode(near, v)
        shaken = 0.0 if pushed is None or beside is None else np.abs(beside - pushed)
    samples = [_reverse(at.t, pulled.first, true.first, true.first_bar, w, size, loss)]
    if pushed is not None:
        samples.append(_forward(at.t, pushed, true, size, clear, shaken))
    if twice and pulled.second is not None:
        samples += _second(at.t, pulled.second, true, w, size, loss)
    return _Found(samples, pulled.untouched)


def _reverse(t: float, claimed: float, true: Array, bar: Array, w: Array, size: Array, loss: float) -> Sample:
    whole = float(np.linalg.norm(w * size)) or 1.0
    on = w != 0
    gap = abs(claimed - float(w[on] @ true[on]))
    blur = float(np.linalg.norm((w * bar)[on])) + loss
    return Sample(t, "reverse mode", _over(gap, whole), SAFETY * blur / whole + FLOOR)


def _forward(
    t: float, claimed: Array, true: Slopes, size: Array, clear: NDArray[np.bool_], shaken: Array | float
) -> Sample:
    defect = np.where(clear, np.abs(claimed - true.first), 0.0) / size
    defect = np.where(np.isfinite(defect), defect, np.inf)
    bar = SAFETY * (np.where(clear, true.first_bar, 0.0) + shaken) / size + FLOOR
    worst = int(np.argmax(defect / bar))
    return Sample(t, "forward mode", float(defect[worst]), float(bar[worst]))


def _second(t: float, claimed: float, true: Slopes, w: Array, size: Array, loss: float) -> list[Sample]:
    whole = size + np.abs(true.second)
    if np.any((true.second_bar > UNCLEAR * whole) & (w != 0)):
        return []
    # its rounding grows with its own size, and with what the first derivative cancels
    more = loss * (1 + float(np.linalg.norm(w * true.second)) / (float(np.linalg.norm(w * size)) or 1.0))
    found = _reverse(t, claimed, true.second, true.second_bar, w, whole, more)
    return [replace(found, mode="reverse mode twice")]


def _over(gap: float, size: float) -> float:
    return gap / size if np.isfinite(gap) else float("inf")


def _where(asking: Asking, at: Point, value: Array, sample: Sample) -> Defect:
    """Which variable's derivative is off at a place: the one alone in whose direction the defect is largest."""
    v = asking.direction(at)
    still = Point(0.0, torch.zeros_like(v.y), torch.zeros_like(v.theta))
    parts = {"t": replace(still, t=v.t), "y": replace(still, y=v.y)}
    begin = 0
    for name in asking.asked.names:
        end = begin + asking.asked.names[name].numel()
        own = torch.zeros_like(v.theta)
        own[begin:end] = v.theta[begin:end]
        parts[name], begin = replace(still, theta=own), end
        if len(parts) > 40:
            break
    found = {
        name: _probe(asking, at, along, value, twice=sample.mode.endswith("twice"), whole=True)
        for name, along in parts.items()
    }
    off = {name: max(s.defect for s in x.samples if s.off) for name, x in found.items() if x is not None and x.off}
    names = sorted(off, key=lambda name: -off[name])
    # values in stairs have no derivative that could be told, so alone none is off: then time and state are looked at
    flat = [name for name in (names[:1] or ("t", "y")) if _in_stairs(asking, at, parts[name], value)]
    return Defect(sample, tuple(names or flat[:1]), bool(flat))


def _in_stairs(asking: Asking, at: Point, along: Point, value: Array) -> bool:
    """Whether values stand still in a tiny step, and move in a long one."""
    near, far = (asking.asked.along(at, along, h) for h in (CLOSE, 2.0**-4))
    return bool(np.array_equal(near, value)) and not np.array_equal(far, value)
