"""The hand-derived derivatives of a numpy field, first and second, against its values alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from odecheck_reference.bounded import Array
from odecheck_reference.fields import Field

from .derivatives import FLOOR, MOVED, SAFETY, TRIES, UNCLEAR
from .differences import slopes
from .line import EPS
from .points import Path, rows, strata
from .seen import Defect, DerivativesSeen, Sample

FIRST, SECOND = "first derivative", "second derivative"
# numbers of a second derivative of one place from which on only the first is asked
LARGEST = 1_000_000


def ask_jets(field: Field, theta: Array, path: Path, *, samples: int = 64, seed: int = 0) -> DerivativesSeen:
    """Hold jet(t, y, theta, 2) of a field against jet(t, y, theta, 0), along random directions.

    Args:
        field: a numpy field with hand-derived derivatives.
        theta: (params,).
        path: states to ask at, around and beyond.
        samples: strata of the interval, a place in each.
        seed: of the places and directions.

    Returns:
        Two samples a place, of modes "first derivative" and "second derivative": J v and v·f''·v component by
        component, relative to value and derivative together. A place where the values do not say is not judged.
    """
    rng = np.random.default_rng(seed)
    found: list[Sample] = []
    judged: list[float] = []
    scale = np.abs(theta) + 0.1 * (float(np.sqrt(np.mean(theta**2))) if theta.any() else 1.0)
    for t in strata(path.times, samples, rng):
        at = theta + (rng.uniform(-0.5, 0.5, theta.shape) * scale if rng.random() < MOVED else 0.0)
        now = _sure(lambda whole, t=float(t), at=at: _place(field, t, rows(path, t, rng), at, scale, path, rng, whole))
        if now:
            found += now
            judged.append(float(t))
    off = [s for s in found if s.off]
    worst = Defect(max(off, key=lambda s: s.defect / s.bar), ()) if off else None
    return DerivativesSeen(tuple(found), tuple(judged), samples, float(path.times[0]), float(path.times[-1]), worst, ())


def _sure(place: Callable[[bool], list[Sample]]) -> list[Sample]:
    """What a place says; nothing where it does not say it again in most other directions, with all steps tried."""
    found = place(False)
    if not any(s.off for s in found):
        return found
    again = [place(True) for _ in range(TRIES)]
    off = [x for x in again if any(s.off for s in x)]
    return off[0] if len(off) > TRIES / 2 else next((x for x in again if x and not any(s.off for s in x)), [])


def _place(
    field: Field, t: float, y: Array, theta: Array, scale: Array, path: Path, rng: np.random.Generator, whole: bool
) -> list[Sample]:
    with np.errstate(all="ignore"):
        value = field.jet(t, y, theta, 0).value
        fine = np.all(np.isfinite(value), axis=1)
        if not fine.any():
            return []
        y = np.where(fine[:, None], y, y[int(np.argmax(fine))])
        dt = 0.1 * path.length * float(rng.standard_normal())
        dy = (np.abs(y) + 0.1 * path.size) * rng.standard_normal(y.shape)
        dtheta = scale * rng.standard_normal(theta.shape)

        def along(h: float) -> Array:
            return np.asarray(field.jet(t + h * dt, y + h * dy, theta + h * dtheta, 0).value, dtype=np.float64).ravel()

        middle = along(0.0)
        shaken = [field.jet(t * (1 + e), y * (1 - e), theta * (1 + e), 0).value.ravel() for e in (2 * EPS, -2 * EPS)]
        noise = 4 * EPS * np.abs(middle) + np.max(np.abs(np.array(shaken) - middle), axis=0)
        true = slopes(along, noise, whole=whole)
        direction = np.concatenate([np.full((len(y), 1), dt), dy, np.broadcast_to(dtheta, (len(y), len(dtheta)))], 1)
        large = value.size * direction.shape[1] ** 2 > LARGEST
        jet = field.jet(t, y, theta, 1 if large else 2)
        assert jet.first is not None
        claimed = [np.einsum("bin,bn->bi", jet.first, direction).ravel()]
        terms = [np.einsum("bin,bn->bi", np.abs(jet.first), np.abs(direction)).ravel()]
        if jet.second is not None:
            claimed.append(np.einsum("binm,bn,bm->bi", jet.second, direction, direction).ravel())
            terms.append(np.einsum("binm,bn,bm->bi", np.abs(jet.second), *[np.abs(direction)] * 2).ravel())
    size = np.where(true.size > 0, true.size, np.max(true.size) or 1.0)
    measured = (
        (FIRST, true.first, true.first_bar, size),
        (SECOND, true.second, true.second_bar, size + abs(true.second)),
    )
    found = [
        _sample(mode, t, given, summed, value_, bar, whole)
        for (mode, value_, bar, whole), given, summed in zip(measured, claimed, terms, strict=False)
    ]
    return [s for s in found if s is not None]


def _sample(mode: str, t: float, given: Array, terms: Array, true: Array, bar: Array, size: Array) -> Sample | None:
    """The worst component of those that the values speak of; None where that is less than half of them."""
    clear = bar <= UNCLEAR * size
    if 2 * np.count_nonzero(clear) < len(clear):
        return None
    with np.errstate(invalid="ignore"):
        defect = np.where(clear, np.abs(given - true), 0.0) / size
    defect = np.where(np.isfinite(defect), defect, np.inf)
    bars = SAFETY * (np.where(clear, bar, 0.0) + 16 * EPS * np.nan_to_num(terms)) / size + FLOOR
    worst = int(np.argmax(defect / bars))
    return Sample(t, mode, float(defect[worst]), float(bars[worst]))
