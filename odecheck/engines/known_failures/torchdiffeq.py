"""What torchdiffeq is known to fail."""

from odecheck.engines.library import Known, named

from . import ALL_ZERO, AT_REST, DATA, REPLAYED, UNSEEN

FIXED_BY_STEPS = ("rk4*", "midpoint", "euler", "*adams")
ADAPTIVE_ONES = ("dopri5*", "dopri8*", "bosh3")
LATER = ("0.1.*", "0.2.*")
# of the main branch, after release 0.2.5
IMPLICIT = ("implicit_euler", "implicit_midpoint", "trapezoid", "sdirk2", "trbdf2", "radauIIA*", "gl*")
MAIN = ("*+checkout*",)
KNOWN: tuple[Known, ...] = named(
    Known(
        "the middle value of bosh3's interpolant is of second order only, so outputs between steps lose one order "
        "and the error falls as tolerance^(2/3)",
        claims=("SOL-5",),
        methods=("bosh3",),
    ),
    Known(
        "outputs between steps, the last one included, come from an interpolant of degree four, so the error falls "
        "as tolerance^(5/8), and is a hundred times what the tolerance promises",
        claims=("SOL-5", "SOL-18", "DER-17"),
        engines=("backprop",),
        methods=("dopri8",),
        problems=("small tanh network",),
    ),
    Known(
        "the grid of steps is not differentiated as it moves with the times",
        claims=("DER-2", "DER-3", "DER-6", "DER-22", "DER-23"),
        engines=("backprop",),
        methods=FIXED_BY_STEPS,
    ),
    Known(
        "the grid of steps is not differentiated as it moves with the times",
        claims=("DER-3", "DER-22", "DER-23"),
        engines=("backprop",),
        methods=IMPLICIT,
        versions=MAIN,
    ),
    Known(
        "both nodes of gl4 are ½ − √3/6, where the second one should be ½ + √3/6: order one where the field moves with "
        "time",
        claims=("SOL-3", "SOL-4", "SOL-10", "SOL-11", "SOL-20", "DER-8", "DER-20"),
        methods=("gl4",),
        versions=MAIN,
    ),
    Known(
        "Broyden's iteration ends at a residual of 1e-8, whatever the tolerance: errors stop falling there, before an "
        "order of five or six can be seen",
        claims=("SOL-3", "SOL-10", "SOL-11"),
        methods=("radauIIA5", "gl6"),
        versions=MAIN,
    ),
    Known(
        "the derivative of a solve of fixed steps in its last time is that of nothing, and the one in its first time "
        "a part of the true one",
        claims=("NODE-3",),
        engines=("backprop",),
        methods=("rk4",),
        versions=("0.0.1", "0.1.*"),
    ),
    Known(
        "the default order of twelve makes explicit Adams steps unstable at any step that is of use",
        claims=("SOL-3", "SOL-10", "SOL-11", "SOL-12"),
        methods=("explicit_adams",),
    ),
    Known(
        "the coefficients of the Adams formulas are those of equal steps, whatever the steps are: order one where "
        "they are not equal",
        claims=("SOL-10", "SOL-11"),
        methods=("fixed_adams", "implicit_adams"),
    ),
    Known(
        "where the fixed-point iteration of an implicit step does not converge it means to warn and raises TypeError:"
        " `warnings.warn` has no argument `file`",
        claims=("SOL-12", "SOL-13", "SOL-14"),
        methods=("fixed_adams", "implicit_adams"),
        versions=("0.1.*", "0.2.0", "0.2.1", "0.2.2"),
    ),
    Known(
        "the steps shrink far below what the tolerance needs: two thousand do not do what dopri5 does in ten",
        versions=("0.0.1",),
        methods=("tsit5",),
        claims=(
            *("SOL-2", "SOL-5", "SOL-6", "SOL-7", "SOL-9", "SOL-12", "SOL-13", "SOL-14", "SOL-18"),
            *("SOL-19", "SOL-20", "SOL-21"),
        ),
    ),
    Known(
        UNSEEN,
        claims=("DER-7", "DER-17"),
        engines=("backprop", "seminorm adjoint"),
        methods=ADAPTIVE_ONES,
        problems=AT_REST,
    ),
    Known(
        "the derivative goes through a step control that a jump of the field drives: it is that of the steps and not "
        "that of the flow",
        claims=("DER-8",),
        engines=("backprop",),
        methods=("dopri5",),
        versions=("0.0.1", "0.1.*"),
    ),
    Known(ALL_ZERO, claims=("HES-2", "HES-3", "HES-4", "HES-5"), engines=("adjoint",)),
    Known(
        "the event's time is differentiated once by the implicit function theorem; that derivative is no part of the "
        "graph, and its own derivative is wrong",
        claims=("EVT-3",),
    ),
    Known(
        "one float64 parameter, used or not, makes the backward pass compute in float64 what was solved in float32",
        claims=("DER-13",),
        engines=("*adjoint",),
        versions=LATER,
    ),
    Known(REPLAYED, claims=("USE-3", "USE-4", "USE-5", "USE-6"), engines=("adjoint",)),
    Known(REPLAYED, claims=("USE-2",), engines=("adjoint",), versions=("0.0.1",)),
    Known(DATA, claims=("USE-6",), engines=("backprop",), problems=("linear*",)),
)
