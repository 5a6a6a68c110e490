"""The families of claims that several files add to. A family of one file is declared there."""

from odecheck.claim import family

# the drawn problems whose fields are of no model in particular
ANY_FIELD = ("network*", "linear", "gradient", "second order", "pendulum")

SOL = family(
    "SOL",
    title="What any solver promises",
    order=10,
    page="mathematics/solutions.md",
    topic="solution",
    drawn=ANY_FIELD,
    speaks_of="solution",
    alone="asks a library in the way its users do, which the claims of the papers do not: steps, types, intervals",
)
DER = family(
    "DER",
    title="What derivatives of a library promise",
    order=110,
    topic="derivatives",
    alone="asks a library in the way its users do, which the claims of the papers do not: outputs, kinds of input",
)
OPT = family("OPT", title="What an optimizer's step is", order=210, speaks_of="second derivatives")
STEP = family("STEP", title="What the very steps of a solver promise", order=230)
