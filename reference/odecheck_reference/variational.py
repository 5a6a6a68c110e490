"""The variational equations of a problem's field as one flat system: a state, and layers of its derivatives."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse  # pyright: ignore[reportMissingTypeStubs]

from .bounded import Array
from .fields.assembly import Index
from .fields.field import AnyArray, Field, Jet
from .fields.jets import Jets
from .layered import is_small

_sparse: Any = scipy.sparse


class Variational:
    """The variational equations of all rows up to an order as one flat ODE.

    Args:
        field: F.
        theta: its parameters.
        batch: how many rows.
        order: 0, 1 or 2.
    """

    def __init__(self, field: Field, theta: Array, batch: int, order: int) -> None:
        self.field, self.theta, self.batch, self.order = field, theta, batch, order
        self.d, self.p = field.state, field.state + field.params
        # second derivatives are symmetric: one half is followed; nobody else can afford the pairs
        self.pairs = np.triu_indices(self.p if order == 2 else 0)
        self.of_pair = np.zeros((self.p, self.p) if order == 2 else (0, 0), dtype=np.intp)
        self.of_pair[self.pairs] = self.of_pair.T[self.pairs] = np.arange(len(self.pairs[0]))
        self.shapes = [(batch, self.d), (batch, self.d, self.p), (batch, self.d, len(self.pairs[0]))][: order + 1]
        ends = np.cumsum([int(np.prod(s)) for s in self.shapes]).tolist()
        self.places = [slice(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
        self.jets = Jets(field, theta, order)
        # what the layers need at their stages: at least the slopes in the state
        self._plain, self._sloped = Jets(field, theta, 0), self.jets if order else Jets(field, theta, 1)

    @property
    def has_slopes(self) -> bool:
        """Whether slopes in the state can be asked of the field at all."""
        return self.order > 0 or not getattr(self.field, "values_alone", False)

    @property
    def rows(self) -> tuple[int, int]:
        """Batch and state."""
        return self.batch, self.d

    @property
    def layers(self) -> list[tuple[slice, int]]:
        """Where S and S2 are, and how many columns each row has."""
        return [(at, shape[-1]) for at, shape in zip(self.places[1:], self.shapes[1:], strict=True)]

    def seconds(self, t: Array, y: Array) -> float:
        """CPU seconds of one call of the field, as `Jets.alone`; whether all times go at once is found out here.

        Args:
            t: times that are far from each other.
            y: a state.
        """
        found = self.jets.alone(t, y)
        if self._sloped is not self.jets and self.has_slopes and is_small(self):
            self._sloped.alone(t, y)
        self._plain.at_once = self.jets.at_once
        return found

    def values(self, t: Array, y: Array) -> Array:
        """F at (m,) times and (m, batch, state) states."""
        return self._plain(t, y).value

    def sloped(self, t: Array, y: Array) -> Jet:
        """The jets there, of the first order at least."""
        return self._sloped(t, y)

    def blocks(self, w: AnyArray) -> list[AnyArray]:
        """The state, S and S2, (..., batch, state), (..., batch, state, P) and (..., batch, state, P, P)."""
        parts = self.parts(w)
        return [*parts[:2], *(part[..., self.of_pair] for part in parts[2:])]

    def parts(self, w: AnyArray) -> list[AnyArray]:
        """The same, with the pairs of S2 as they are followed: (..., batch, state, pairs)."""
        before = w.shape[:-1]
        return [w[..., at].reshape(before + shape) for at, shape in zip(self.places, self.shapes, strict=True)]

    def state(self, w: AnyArray) -> AnyArray:
        return w[..., self.places[0]].reshape(w.shape[:-1] + self.shapes[0])

    def groups(self) -> Index:
        """The number of the group of each component; a group shares one size.

        Groups are, in one component of the state, the slopes in theta and each kind of second derivative. The state and
        its slopes in y0 have sizes of their own.
        """
        size = sum(int(np.prod(shape)) for shape in self.shapes)
        of_theta, number = np.arange(self.p) >= self.d, np.arange(size)
        of_state = len(number) + 9 * np.arange(self.d)  # above all numbers of components
        for order, (at, shape) in enumerate(zip(self.places, self.shapes, strict=True)):
            kind = np.zeros(()) if order == 0 else of_theta
            if order == 2:
                kind = of_theta[self.pairs[0]] + 1 * of_theta[self.pairs[1]]
            own = (order < 2) & (kind == 0)
            shared = of_state.reshape(-1, *[1] * kind.ndim) + 3 * order + kind
            number[at] = np.where(own, number[at].reshape(shape), shared).ravel()
        return number

    @cached_property
    def pattern(self) -> Any:
        """Which component of w (columns) moves which of w' (rows), a sparse matrix of ones.

        Rows are apart from each other. All hangs on the state, a column of S or S2 on itself, a pair on its columns.
        """
        eye, (i, j), pairs = np.eye(self.p), self.pairs, len(self.pairs[0])
        hangs: list[list[Any]] = [
            [np.ones((1, 1)), None, None],
            [np.ones((self.p, 1)), eye, None],
            [np.ones((pairs, 1)), eye[i] + eye[j], _sparse.eye(pairs)] if self.order == 2 else [],
        ]
        rows = _sparse.kron(_sparse.eye(self.batch), np.ones((self.d, self.d)))
        kinds = range(self.order + 1)
        return _sparse.bmat(
            [[None if hangs[k][m] is None else _sparse.kron(rows, hangs[k][m]) for m in kinds] for k in kinds], "csc"
        )

    def start(self, y0: AnyArray) -> AnyArray:
        zero = np.zeros((self.batch, self.d, self.p))
        zero[:, np.arange(self.d), np.arange(self.d)] = 1.0
        pieces = [y0, zero, np.zeros((self.batch, self.d, len(self.pairs[0])))][: self.order + 1]
        return np.concatenate([piece.reshape(-1) for piece in pieces])

    def __call__(self, t: float, w: AnyArray) -> AnyArray:
        return self.rates(self.field.jet(t, self.state(w), self.theta, self.order), w)

    def many(self, t: Array, w: Array) -> Array:
        """The rates at many times: (m,), (m, size) → (m, size)."""
        return self.rates(self.jets(t, self.state(w)), w)

    def rates(self, jet: Jet, w: AnyArray) -> AnyArray:
        """The rates of w (..., size) from the jet (..., batch, state, ...) at its state."""
        if self.order == 0:
            return jet.value.reshape(w.shape)
        parts = self.parts(w)
        assert jet.first is not None
        f_y, f_theta = jet.first[..., 1 : 1 + self.d], jet.first[..., 1 + self.d :]
        s_rate = f_y @ parts[1]
        s_rate[..., self.d :] += f_theta
        rates = [jet.value, s_rate]
        if self.order == 2:
            assert jet.second is not None
            rows = np.broadcast_to(self._theta_rows(w), (*w.shape[:-1], self.batch, self.p - self.d, self.p))
            z = np.concatenate([parts[1], rows], axis=-2)[..., None, :, :]  # (..., batch, 1, state + params, P)
            curvature = np.swapaxes(z, -1, -2) @ jet.second[..., 1:, 1:] @ z
            rates.append(f_y @ parts[2] + curvature[..., self.pairs[0], self.pairs[1]])
        return np.concatenate([rate.reshape(*w.shape[:-1], -1) for rate in rates], axis=-1)

    def _theta_rows(self, w: AnyArray) -> AnyArray:
        rows = np.concatenate([np.zeros((self.p - self.d, self.d)), np.eye(self.p - self.d)], axis=1)
        return np.broadcast_to(rows, (self.batch, *rows.shape))
