"""odecheck: is what this neural ODE computes what the mathematics says, and what does it cost?

The decorator that defines a claim is `odecheck.claim.claim`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odecheck_reference import Bounded as Bounded
    from odecheck_reference import Problem as Problem

    from .claim import Claim as Claim
    from .claim import Mutant as Mutant
    from .claim import NotApplicable as NotApplicable
    from .claims import ALL as ALL
    from .door import BadInput as BadInput
    from .engines import Engine as Engine
    from .engines import Unsupported as Unsupported
    from .engines.own import Closed as Closed
    from .engines.own import Discrete as Discrete
    from .engines.torchdiffeq import Adjoint as Adjoint
    from .engines.torchdiffeq import Backprop as Backprop
    from .judge import Verdict as Verdict
    from .ode import odeint as odeint
    from .pytest_plugin import parametrize as parametrize
    from .record import Record as Record
    from .run import check as check
    from .shipped import problems as problems
    from .shipped import subjects as subjects
    from .solvers import Adaptive as Adaptive
    from .solvers import FixedStep as FixedStep
    from .solvers import Solver as Solver
    from .subject import SHIPPED as SHIPPED
    from .subject import Subject as Subject
    from .target import module_pairs as module_pairs
    from .target import pairs as pairs
    from .watch import watch as watch

    HOLDS, REFUTED, INCONCLUSIVE = Verdict.HOLDS, Verdict.REFUTED, Verdict.INCONCLUSIVE

# Public name → the module it lives in. Importing odecheck imports nothing else: the command line and pytest start at
# once, and torch comes when something needs it.
_HOMES = {
    "ALL": ".claims",
    "Adaptive": ".solvers",
    "Adjoint": ".engines.torchdiffeq",
    "Backprop": ".engines.torchdiffeq",
    "BadInput": ".door",
    "Bounded": "odecheck_reference",
    "Claim": ".claim",
    "Closed": ".engines.own",
    "Discrete": ".engines.own",
    "Engine": ".engines",
    "FixedStep": ".solvers",
    "Mutant": ".claim",
    "NotApplicable": ".claim",
    "Problem": "odecheck_reference",
    "Record": ".record",
    "SHIPPED": ".subject",
    "Solver": ".solvers",
    "Subject": ".subject",
    "Unsupported": ".engines",
    "Verdict": ".judge",
    "check": ".run",
    "module_pairs": ".target",
    "odeint": ".ode",
    "pairs": ".target",
    "parametrize": ".pytest_plugin",
    "problems": ".shipped",
    "subjects": ".shipped",
    "watch": ".watch",
}
_VERDICTS = ("HOLDS", "REFUTED", "INCONCLUSIVE")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("odecheck")
    if name in _VERDICTS:
        return import_module(".judge", __name__).Verdict[name]
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), "__version__", *_HOMES, *_VERDICTS])
