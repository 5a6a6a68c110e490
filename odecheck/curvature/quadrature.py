"""The weights with which a solver's own steps integrate something along the solution.

Appending A' = Z(t, y), A(start) = 0 to a system and stepping it with an explicit Runge–Kutta method gives, for every
accepted step from t0 of length dt, exactly A += dt Σ_j b_j Z(stage j), because A drives nothing. So weights b_j and
the stages that the solver evaluates anyway are the integral, at the solver's order, without another evaluation.

Where a solver overshoots the last time and interpolates back, A is interpolated by the same polynomial, which is linear
in the stages: at the fraction θ of the step, A += dt Σ_j β_j(θ) Z(stage j), with β(1) = b.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from odecheck.discrete.tableau import METHODS, Tableau


class UnknownMethod(ValueError):
    """The stages of a step belong to none of the explicit Runge–Kutta methods of `odecheck.discrete.tableau`."""


@dataclass(frozen=True)
class Rule:
    """A method as a quadrature. name: torchdiffeq's."""

    name: str
    tableau: Tableau

    @property
    def seen(self) -> tuple[float, ...]:
        """Fractions of the step at which stages are evaluated within it: an adaptive step is handed its first."""
        return self.tableau.c[1:] if self.tableau.adaptive else self.tableau.c

    def idle(self, stage: int) -> bool:
        """Whether a stage has no weight at any fraction of the step, nor begins the next one."""
        if stage >= len(self.tableau.b) - 1 or self.tableau.b[stage]:
            return False
        return not (self.tableau.middle and self.tableau.middle[stage])

    def weights(self, theta: float = 1.0) -> tuple[float, ...]:
        """β_j(θ), one for each stage, for the integral from the step's start over a fraction θ of it.

        The polynomial of degree four through the values and slopes at both ends and the value in the middle, as in
        torchdiffeq, of the function that starts at 0.
        """
        b = self.tableau.b
        if theta == 1.0:
            return b
        x = theta
        of_end = x * x * (-5 + x * (14 - 8 * x))
        of_middle = 16 * x * x * (1 - x) ** 2
        of_slope, of_last_slope = x * (1 + x * (-4 + x * (5 - 2 * x))), x * x * (1 + x * (-3 + 2 * x))
        beta = [of_end * weight + of_middle * mid for weight, mid in zip(b, self.tableau.middle, strict=True)]
        beta[0] += of_slope
        beta[-1] += of_last_slope
        return tuple(beta)


RULES = tuple(Rule(name, tableau) for name, tableau in METHODS.items())


def rule_of(fractions: Sequence[float], *, adaptive: bool, slack: float, known: Rule | None = None) -> Rule:
    """The method whose steps evaluate stages at these fractions of a step.

    Args:
        fractions: (stage time − t0) / dt of the evaluations within one step.
        adaptive: whether the solver spoke of accepting the step.
        slack: by how much round-off in the times may move a fraction.
        known: the method of the steps before in the same solve, which this one has to share.

    Raises:
        UnknownMethod: there is none, or another one than before (a linear multistep method starts with Runge–Kutta).
    """
    for rule in RULES if known is None else (known,):
        if rule.tableau.adaptive is adaptive and _agree(rule.seen, fractions, slack):
            return rule
    if not adaptive and fractions and abs(fractions[-1] - 1.0) <= slack:  # cubic outputs: one evaluation more
        return rule_of(fractions[:-1], adaptive=False, slack=slack, known=known)
    shown = ", ".join(f"{x:.3g}" for x in fractions)
    raise UnknownMethod(
        f"a step of the adjoint solve evaluated its field at the fractions ({shown}) of the step"
        + (f", and the steps before it were of {known.name}" if known else "")
        + f". Curvature is integrated with the weights of one of {', '.join(METHODS)}; linear multistep methods have "
        "none. Pass adjoint_method='dopri5' (adjoint_options={} with it)."
    )


def _agree(wanted: Sequence[float], found: Sequence[float], slack: float) -> bool:
    return len(wanted) == len(found) and all(abs(a - b) <= slack for a, b in zip(wanted, found, strict=True))
