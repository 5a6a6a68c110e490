"""What torchode is known to fail."""

from odecheck.engines.library import Known, named

from . import ALL_ZERO, AT_REST, DATA, REPLAYED

BACK = ("Backsolve", "JointBacksolve")
KNOWN: tuple[Known, ...] = named(
    Known(
        "an error estimate of zero, where the solution is at rest, is raised to a negative power and differentiated: "
        "0 · inf, NaN",
        claims=("DER-7", "DER-17"),
        engines=("AutoDiff",),
        methods=("dopri5", "tsit5"),
        problems=AT_REST,
    ),
    Known(
        "the derivative goes through the step control, which a jump of the field drives: it is that of the steps and "
        "not that of the flow",
        claims=("DER-8",),
        engines=("AutoDiff",),
        methods=("dopri5", "tsit5"),
    ),
    Known(DATA, claims=("USE-6",), engines=("AutoDiff",), problems=("linear*",)),
    Known(
        "the backsolve adjoints return no gradient for times: `ts.grad` stays None",
        claims=("NODE-3", "DER-2", "DER-3", "DER-6", "DER-18", "DER-23"),
        engines=BACK,
    ),
    Known(
        "a parameter that the field has under two names gets a gradient of zero",
        claims=("DER-12",),
        engines=("Backsolve",),
    ),
    Known(
        "the backward pass puts the parameters of both precisions into one state: the field sees another precision "
        "than forwards",
        claims=("DER-13",),
        engines=BACK,
    ),
    Known(ALL_ZERO, claims=("HES-2", "HES-3", "HES-4", "HES-5"), engines=BACK),
    Known(REPLAYED, claims=("USE-3", "USE-5", "USE-6"), engines=BACK),
    Known(REPLAYED, claims=("USE-4",), engines=("JointBacksolve",)),
)
