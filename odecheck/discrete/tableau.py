"""The explicit Runge-Kutta methods as data: the coefficients that torchdiffeq 0.2.5 uses, under its names.

A tableau is (a, b, c) and, for an embedded pair, the weights of the error estimate. How the first stage of a step
comes about is part of a method too, and there are three ways (`first_stage`):

- ``fresh``: the field is evaluated at the step's start (all fixed-step methods);
- ``last_is_end``: it is the last stage of the step before, whose point *is* the step's start (first same as last);
- ``last_is_stale``: it is the last stage of the step before although that stage's point is not the step's start
  (torchdiffeq's `adaptive_heun` and `fehlberg2`). A derivative of those steps has to follow the stale point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from odecheck.solvers import ADAPTIVE, ONE_STEP

FirstStage = Literal["fresh", "last_is_end", "last_is_stale"]


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: k_i = f(t + c_i h, y + h sum_j a_ij k_j), y+ = y + h sum_i b_i k_i.

    Attributes:
        a: strictly lower triangular, row i holds the i weights of stage i.
        b: weights of the solution.
        c: stage times as fractions of the step.
        order: the order of the method, by which torchdiffeq's step control extrapolates too.
        error: weights of the error estimate; None for a fixed-step method.
        first_stage: where the first stage comes from.
        middle: weights of the solution in mid-step, of which an adaptive method's interpolating polynomial is made.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int
    error: tuple[float, ...] | None = None
    first_stage: FirstStage = "fresh"
    middle: tuple[float, ...] = ()

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def adaptive(self) -> bool:
        return self.error is not None

    @property
    def carries(self) -> bool:
        """Whether a step hands its stale last stage point on to the next step."""
        return self.first_stage == "last_is_stale"

    def effective(self) -> Tableau:
        """The same steps without the stage that only serves the next step (first same as last)."""
        if self.first_stage != "last_is_end":
            return self
        return Tableau(self.a[:-1], self.b[:-1], self.c[:-1], self.order)


def _pair(
    rows: Sequence[Sequence[float]],
    b: Sequence[float],
    second: Sequence[float],
    c: Sequence[float],
    order: int,
    first_stage: FirstStage,
    middle: Sequence[float],
) -> Tableau:
    error = tuple(x - y for x, y in zip(b, second, strict=True))
    return Tableau(tuple(tuple(row) for row in rows), tuple(b), tuple(c), order, error, first_stage, tuple(middle))


_DOPRI5_B = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)
# Dormand & Prince (1980) with the error weights of Shampine (1986)
DOPRI5 = _pair(
    [
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _DOPRI5_B,
    ],
    (*_DOPRI5_B, 0.0),
    (1951 / 21600, 0.0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60),
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    ADAPTIVE["dopri5"],
    "last_is_end",
    tuple(
        x / 2
        for x in (
            6025192743 / 30085553152,
            0.0,
            51252292925 / 65400821598,
            -2691868925 / 45128329728,
            187940372067 / 1594534317056,
            -1776094331 / 19743644256,
            11237099 / 235043384,
        )
    ),
)

_DOPRI8_B = (
    14005451 / 335480064,
    0.0,
    0.0,
    0.0,
    0.0,
    -59238493 / 1068277825,
    181606767 / 758867731,
    561292985 / 797845732,
    -1041891430 / 1371343529,
    760417239 / 1151165299,
    118820643 / 751138087,
    -528747749 / 2220607170,
    1 / 4,
)
# the values at half a step of torchdiffeq's polynomials for outputs within a step
_DOPRI8_MIDDLE = (
    0.04103130360739393,
    0.0,
    0.0,
    0.0,
    0.0,
    0.05100562801991382,
    0.2388930677412202,
    0.3096870143996103,
    -0.2172325471755352,
    0.07833405679331928,
    -0.0018614369715579948,
    0.007072844202678841,
    0.00690847373200576,
    -0.013838404349047373,
)
# Prince & Dormand (1981), RK8(7)13M, with its solution as a fourteenth stage
DOPRI8 = _pair(
    [
        (),
        (1 / 18,),
        (1 / 48, 1 / 16),
        (1 / 32, 0.0, 3 / 32),
        (5 / 16, 0.0, -75 / 64, 75 / 64),
        (3 / 80, 0.0, 0.0, 3 / 16, 3 / 20),
        (29443841 / 614563906, 0.0, 0.0, 77736538 / 692538347, -28693883 / 1125000000, 23124283 / 1800000000),
        (
            16016141 / 946692911,
            0.0,
            0.0,
            61564180 / 158732637,
            22789713 / 633445777,
            545815736 / 2771057229,
            -180193667 / 1043307555,
        ),
        (
            39632708 / 573591083,
            0.0,
            0.0,
            -433636366 / 683701615,
            -421739975 / 2616292301,
            100302831 / 723423059,
            790204164 / 839813087,
            800635310 / 3783071287,
        ),
        (
            246121993 / 1340847787,
            0.0,
            0.0,
            -37695042795 / 15268766246,
            -309121744 / 1061227803,
            -12992083 / 490766935,
            6005943493 / 2108947869,
            393006217 / 1396673457,
            123872331 / 1001029789,
        ),
        (
            -1028468189 / 846180014,
            0.0,
            0.0,
            8478235783 / 508512852,
            1311729495 / 1432422823,
            -10304129995 / 1701304382,
            -48777925059 / 3047939560,
            15336726248 / 1032824649,
            -45442868181 / 3398467696,
            3065993473 / 597172653,
        ),
        (
            185892177 / 718116043,
            0.0,
            0.0,
            -3185094517 / 667107341,
            -477755414 / 1098053517,
            -703635378 / 230739211,
            5731566787 / 1027545527,
            5232866602 / 850066563,
            -4093664535 / 808688257,
            3962137247 / 1805957418,
            65686358 / 487910083,
        ),
        (
            403863854 / 491063109,
            0.0,
            0.0,
            -5068492393 / 434740067,
            -411421997 / 543043805,
            652783627 / 914296604,
            11173962825 / 925320556,
            -13158990841 / 6184727034,
            3936647629 / 1978049680,
            -160528059 / 685178525,
            248638103 / 1413531060,
            0.0,
        ),
        _DOPRI8_B,
    ],
    (*_DOPRI8_B, 0.0),
    (
        13451932 / 455176623,
        0.0,
        0.0,
        0.0,
        0.0,
        -808719846 / 976000145,
        1757004468 / 5645159321,
        656045339 / 265891186,
        -3867574721 / 1518517206,
        465885868 / 322736535,
        53011238 / 667516719,
        2 / 45,
        0.0,
        0.0,
    ),
    (
        0.0,
        1 / 18,
        1 / 12,
        1 / 8,
        5 / 16,
        3 / 8,
        59 / 400,
        93 / 200,
        5490023248 / 9719169821,
        13 / 20,
        1201146811 / 1299019798,
        1.0,
        1.0,
        1.0,
    ),
    ADAPTIVE["dopri8"],
    "last_is_end",
    _DOPRI8_MIDDLE,
)

# Bogacki & Shampine (1989)
BOSH3 = _pair(
    [(), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)],
    (2 / 9, 1 / 3, 4 / 9, 0.0),
    (7 / 24, 1 / 4, 1 / 3, 1 / 8),
    (0.0, 1 / 2, 3 / 4, 1.0),
    ADAPTIVE["bosh3"],
    "last_is_end",
    (0.0, 1 / 2, 0.0, 0.0),
)

# Fehlberg (1969), RK1(2); torchdiffeq's sign of the error weights
FEHLBERG2 = _pair(
    [(), (1 / 2,), (1 / 256, 255 / 256)],
    (1 / 512, 255 / 256, 1 / 512),
    (1 / 256, 255 / 256, 0.0),
    (0.0, 1 / 2, 1.0),
    ADAPTIVE["fehlberg2"],
    "last_is_stale",
    (0.0, 1 / 2, 0.0),
)
ADAPTIVE_HEUN = _pair(
    [(), (1.0,)],
    (1 / 2, 1 / 2),
    (0.0, 1.0),
    (0.0, 1.0),
    ADAPTIVE["adaptive_heun"],
    "last_is_stale",
    (1 / 2, 0.0),
)

EULER = Tableau(((),), (1.0,), (0.0,), ONE_STEP["euler"])
MIDPOINT = Tableau(((), (1 / 2,)), (0.0, 1.0), (0.0, 1 / 2), ONE_STEP["midpoint"])
HEUN2 = Tableau(((), (1.0,)), (1 / 2, 1 / 2), (0.0, 1.0), ONE_STEP["heun2"])
HEUN3 = Tableau(((), (1 / 3,), (0.0, 2 / 3)), (1 / 4, 0.0, 3 / 4), (0.0, 1 / 3, 2 / 3), ONE_STEP["heun3"])
# Kutta (1901), the 3/8 rule
RK4 = Tableau(
    ((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    (1 / 8, 3 / 8, 3 / 8, 1 / 8),
    (0.0, 1 / 3, 2 / 3, 1.0),
    ONE_STEP["rk4"],
)

METHODS: dict[str, Tableau] = {
    "dopri8": DOPRI8,
    "dopri5": DOPRI5,
    "bosh3": BOSH3,
    "fehlberg2": FEHLBERG2,
    "adaptive_heun": ADAPTIVE_HEUN,
    "euler": EULER,
    "midpoint": MIDPOINT,
    "heun2": HEUN2,
    "heun3": HEUN3,
    "rk4": RK4,
}
