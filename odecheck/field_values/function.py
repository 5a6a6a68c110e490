"""Whether a module is a function of (t, y, theta): the same question again in other circumstances.

What is true is what an object says that was never asked before. A cache that all objects of a class share answers
alike everywhere: there the module gives itself away by a parameter whose value does not matter (`without_influence`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from odecheck.foreign import raised_where

from .answers import CAUSES, DRAWN, Answer
from .line import to_torch
from .points import AROUND, Path, strata

PLACES = 8
# rules by which parameters are set anew: p ↦ a p + b of its own size
CHANGES = ((1.3, 0.05), (-0.7, 0.1))
# what a parameter is multiplied by to see whether it matters at all: large, small, of the other sign
FACTORS = (-1.0, 0.0, 1e-4, 1e4)

Place = tuple[Tensor, Tensor]


def ask_function(
    make: Callable[[], nn.Module],
    path: Path,
    features: tuple[int, ...],
    *,
    seed: int = 0,
) -> tuple[Answer, ...]:
    """Ask the same points in other circumstances.

    Args:
        make: A float64 module, made anew at each call as it was before anything was asked.
        path: States to ask at and around.
        features: The shape of one row of the state.
        seed: Of the places.

    Returns:
        One answer to each question, in the order of `CAUSES`.
    """
    rng = np.random.default_rng(seed)
    places = list(places_of(path, features, rng, make))
    compare = _Compared()
    fresh = [value_at(make(), p) for p in places]
    compare.ask(DRAWN, places[0], make(), fresh[0])
    module = make()
    for place, true in zip(places, fresh, strict=True):
        compare.ask("after other points", place, module, true)
    for i in map(int, rng.permutation(len(places))):
        compare.ask("in another order", places[i], module, fresh[i])
    for i, place in enumerate(places):
        _circumstances(module, make, place, places[i - 1], fresh[i], compare)
    for change in CHANGES:
        _changed_parameters(module, make, places[:3], change, compare)
    return compare.answers


def ask_again(
    make: Callable[[], nn.Module], used: nn.Module, path: Path, features: tuple[int, ...], *, seed: int = 0
) -> Answer:
    """The same points of a module that has been asked many times.

    Args:
        make: As in `ask_function`.
        used: The module, with the parameters of `make()`.
        path: States to ask at and around.
        features: The shape of one row of the state.
        seed: Of the places.

    Returns:
        The answer to "after thousands of calls".
    """
    compare = _Compared()
    for place in places_of(path, features, np.random.default_rng(seed), make):
        compare.ask("after thousands of calls", place, used, value_at(make(), place))
    return compare.answers[0]


class _Compared:
    """The largest distance of each question."""

    def __init__(self) -> None:
        self.found: dict[str, Answer] = {}

    def __call__(self, question: str, place: Place, seen: Tensor, true: Tensor, raised: str = "") -> None:
        gap = distance(seen, true)
        if question not in self.found or not gap <= self.found[question].gap:
            self.found[question] = Answer(question, gap, float(place[0]), raised)

    def ask(self, question: str, place: Place, module: nn.Module, true: Tensor) -> None:
        """Compare what a module says at a place."""
        errors: list[Exception] = []
        self(question, place, value_at(module, place, errors), true, "".join(map(raised_where, errors)))

    @property
    def answers(self) -> tuple[Answer, ...]:
        return tuple(self.found[q] for q in CAUSES if q in self.found)


def places_of(
    path: Path, features: tuple[int, ...], rng: np.random.Generator, make: Callable[[], nn.Module], count: int = PLACES
) -> Iterator[Place]:
    """Around the path, and on it where the field refuses what lies around it."""
    for t in strata(path.times, count, rng):
        on = path.at(float(t))
        y = on + rng.choice(AROUND[1:5], size=(len(on), 1)) * path.size * rng.standard_normal(on.shape)
        time, *states = (torch.tensor(x, dtype=torch.float64) for x in (float(t), y, on))
        around, onto = ((time, state.reshape(len(y), *features)) for state in states)
        yield around if bool(torch.isfinite(value_at(make(), around)).any()) else onto


def value_at(module: nn.Module, place: Place, errors: list[Exception] | None = None) -> Tensor:
    """The value at a place; NaN where the field refuses it: it may check what it is called with."""
    with torch.no_grad():
        try:
            return module(place[0].clone(), place[1].clone()).detach().clone()
        except Exception as error:
            if errors is not None:
                errors.append(error)
            return torch.full_like(place[1], torch.nan)


def _same(seen: Tensor, true: Tensor) -> bool:
    """Whether two values are the same to the last bit, NaN being NaN."""
    return np.array_equal(seen.numpy(), true.numpy(), equal_nan=True)


def distance(seen: Tensor, true: Tensor) -> float:
    """The largest difference, in the size of the field there; of NaN where the other is NaN too, none."""
    if seen.shape != true.shape:
        return float("inf")
    if torch.equal(seen, true):
        return 0.0
    both = torch.isfinite(true) & torch.isfinite(seen)
    if not torch.equal(torch.isfinite(true), torch.isfinite(seen)):
        return float("inf")
    size = float(true[both].abs().max()) if both.any() else 0.0
    return float((seen - true)[both].abs().max()) / size if size else float(bool((seen - true)[both].any()))


def _circumstances(
    module: nn.Module, make: Callable[[], nn.Module], place: Place, other: Place, true: Tensor, compare: _Compared
) -> None:
    """The questions about one point; `other` is the one that was asked before it."""
    (t, y), (time, state) = place, other
    first = value_at(module, place)
    for _ in range(3):  # of a small state dropout can take the same part twice
        compare.ask("of the same point at once", place, module, first)
    for question, then in (
        ("at the same time, another state", (t, state)),
        ("at the same state, another time", (time, y)),
    ):
        asked = make()
        value_at(asked, place)
        compare.ask(question, then, asked, value_at(make(), then))
    with torch.enable_grad():
        live = module(t.clone().requires_grad_(), y.clone().requires_grad_() * 1.0)
    compare("with gradients", place, live.detach(), true)
    with torch.no_grad():
        given, clock = y.clone(), t.clone()
        kept = module(clock, given)
        after = torch.cat([given.reshape(-1), clock[None]])
        compare("its input afterwards", place, after, torch.cat([y.reshape(-1), t[None]]))
        before = kept.clone()
        module(time.clone(), state.clone())
        compare("its output afterwards", place, kept, before)
        if len(y) > 1:
            compare("a row by itself", place, value_at(module, (t, y[:1])), true[:1])
        for others in (y.flip(0) * 1.25 + 0.25 * y.abs().max(), y.flip(0)):
            beside = value_at(module, (t, torch.cat([y, others])))
            if bool(torch.isfinite(beside).any()):  # else it refuses the first ones, and takes their like
                break
        compare("a row by itself", place, beside[: len(y)], true)


def changed(p: Tensor, change: tuple[float, float]) -> Tensor:
    """A parameter set anew, p ↦ a p + b of its own size.

    Args:
        p: Of any shape.
        change: (a, b).

    Returns:
        Of the same shape.
    """
    a, b = change
    return a * p + b * (p.square().mean().sqrt() + (0 if p.any() else 1))


def _changed_parameters(
    module: nn.Module,
    make: Callable[[], nn.Module],
    places: Sequence[Place],
    change: tuple[float, float],
    compare: _Compared,
) -> None:
    """The answer of a changed module is that of a module that had these parameters from the start."""
    named = {k: p for k, p in module.named_parameters() if p.requires_grad}
    if not named:
        return
    with torch.no_grad():
        old = {k: p.detach().clone() for k, p in named.items()}
        new = {k: changed(p, change) for k, p in old.items()}

        def anew(target: nn.Module) -> nn.Module:
            for k, p in target.named_parameters():
                if k in new:
                    p.copy_(new[k])
            return target

        true = [value_at(anew(make()), place) for place in places]
        for place, expected in zip(places, true, strict=True):
            asked = make()  # a module under two names is left with the new numbers by functional_call
            value_at(asked, place)
            called = functional_call(asked, new, (place[0].clone(), place[1].clone()))
            compare("by functional_call", place, called.detach().clone(), expected)
        anew(module)
        for place, expected in zip(places, true, strict=True):
            compare.ask("with changed parameters", place, module, expected)
        replaced = make()
        value_at(replaced, places[0])
        for k, p in replaced.named_parameters():
            if k in new:
                p.data = new[k].clone()
        for place, expected in zip(places, true, strict=True):
            compare.ask("with replaced parameters", place, replaced, expected)
        for k, p in named.items():
            p.copy_(old[k])


def without_influence(
    module: nn.Module, path: Path, features: tuple[int, ...], names: Sequence[str], *, seed: int = 0
) -> tuple[str, ...]:
    """Which of these parameters can take any value without a bit of any output changing.

    Args:
        module: A float64 module; a copy of it is asked.
        path: States to ask at and around.
        features: The shape of one row of the state.
        names: Parameters whose gradient was zero wherever it was looked at.
        seed: Of the places and of the other parameters' values.

    Returns:
        The names of those, of `names`. Saturated units are no such case: a factor of 1e-4 brings them back.
    """
    rng = np.random.default_rng(seed)
    places = list(places_of(path, features, rng, lambda: copy.deepcopy(module)))[:4]
    own, found = copy.deepcopy(module), list[str]()
    named = dict(own.named_parameters())
    with torch.no_grad():
        for name in names:
            p, matters = named[name], False
            before = p.detach().clone()
            typical = float(before.square().mean().sqrt()) or 1.0
            noise = to_torch(rng.standard_normal(tuple(before.shape))) * typical
            for others in (False, True):  # a factor of zero elsewhere hides a parameter: every other one moves too
                kept = {k: q.detach().clone() for k, q in named.items()}
                if others:
                    for q in named.values():
                        q += (
                            0.5
                            * to_torch(rng.standard_normal(tuple(q.shape)))
                            * (float(q.abs().amax() if q.numel() else 0.0) or 1.0)
                        )
                here = [value_at(own, place) for place in places]
                for factor in FACTORS:
                    p.copy_(factor * before + (0.5 * noise if factor < 0 else 0.0))
                    matters |= any(not _same(value_at(own, x), v) for x, v in zip(places, here, strict=True))
                for k, q in named.items():
                    q.copy_(kept[k])
            if not matters:
                found.append(name)
    return tuple(found)
