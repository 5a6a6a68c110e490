"""What torchdyn is known to fail."""

from odecheck.engines.library import Known, named

from . import AT_REST, DATA, REPLAYED, UNSEEN

NEAR = (
    "two times that are nearer to each other than 1e-5 of their size, as the end of a step and an output may be, are "
    "taken for one, and it stops with an AssertionError: `torch.isclose` has tolerances of its own"
)
KNOWN: tuple[Known, ...] = named(
    Known(
        "the stages of rk4 are at 0, 0, ½ and ½ of the step in the place of 0, ½, ½ and 1: order one where the field "
        "moves with time",
        claims=("SOL-3", "SOL-4", "SOL-10", "SOL-11", "SOL-20", "DER-8", "DER-20"),
        methods=("rk4",),
    ),
    Known(
        "`ODEProblem` with the name of a method makes its coefficients in single precision: the solution is that "
        "of rounded coefficients, 4e-8 off",
        claims=("SOL-2", "SOL-13", "SOL-14", "SOL-17", "SOL-19", "SOL-20", "SOL-21"),
        methods=("dopri5, by name",),
    ),
    Known(
        "over the tighter five of nine tolerances the error falls as the power 0.37 of them, although the formula is "
        "of order five",
        claims=("SOL-5",),
        methods=("tsit5",),
    ),
    Known(UNSEEN, claims=("DER-7", "DER-17"), engines=("autograd",), methods=("dopri5*", "tsit5"), problems=AT_REST),
    Known(DATA, claims=("USE-6",), engines=("autograd",), problems=("linear*",)),
    Known(
        "where time decreases the backward pass takes the field of negated times: the gradient is another one",
        claims=("DER-5",),
        engines=("adjoint", "interpolated adjoint"),
    ),
    Known(
        "the derivatives in the first and last time are wrong, in sign and size",
        claims=("NODE-3",),
        engines=("adjoint",),
        methods=("dopri5",),
    ),
    Known(
        "the interpolated adjoint returns no gradient for times",
        claims=("NODE-3", "DER-2", "DER-3", "DER-6", "DER-18", "DER-23"),
        engines=("interpolated adjoint",),
    ),
    Known(
        NEAR,
        claims=("SOL-19",),
        engines=("autograd",),
        methods=("euler", "midpoint"),
    ),
    Known(
        NEAR,
        claims=("DER-19",),
        engines=("adjoint", "interpolated adjoint"),
        methods=("midpoint",),
    ),
    Known(
        "all steps come back in the place of the times asked for, and the backward pass takes the first rows of "
        "their gradients for those of the times: interior outputs get another one's gradient",
        claims=("DER-1", "DER-4", "DER-8", "DER-12", "DER-14", "DER-17", "DER-24", "DER-25", "USE-1"),
        engines=("interpolated adjoint",),
        methods=("dopri5",),
    ),
    Known(
        "the end of a backward interval is kept only where the last step meets it to the last bit, and t + (T − t) may "
        "round to another number than T: then the whole interval's part of the gradient is lost",
        claims=("DER-4",),
        engines=("adjoint",),
        methods=("dopri5",),
    ),
    Known(
        "the backward solve always leaves the parameters' part of its state out of the error that chooses its steps, "
        "and at rest takes steps that are far too long for it",
        claims=("DER-17",),
        engines=("adjoint",),
        methods=("dopri5",),
        problems=AT_REST,
    ),
    Known(REPLAYED, claims=("USE-2", "USE-3", "USE-4", "USE-5", "USE-6"), engines=("adjoint", "interpolated adjoint")),
)
