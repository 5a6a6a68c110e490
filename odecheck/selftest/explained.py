"""What a person has looked at: mutants that survive for a reason, and claims that refute no mutant alone.

A survivor that is not named here fails the selftest. A reason says why no claim can refute it: the mutant computes the
same (equivalent), or what it changes is a cost and no answer.
"""

from __future__ import annotations

from collections.abc import Mapping

# mutant → why nothing that it returns is wrong
SURVIVORS: Mapping[str, str] = {
    "every stage is kept": "what it returns is right; SNOPT-12, not asked by the battery, counts its bytes",
}

# claim → why it is kept although every mutant that it refutes is refuted by another claim too
KEPT: Mapping[str, str] = {
    "SOL-1": "says that the field is wrong, and not the solver, where later claims only see a wrong answer",
    "SOL-2": "the only one that asks for the solution itself, at a stated tolerance",
    "SOL-3": "the order of a fixed-step method: an answer of lower order is right in the limit and passes all others",
    "SOL-4": "outputs between the ends of steps: an interpolant of lower order passes at step ends",
    "SOL-5": "proportion of error to tolerance: a solver that ignores its tolerance passes where it is accurate enough",
    "SOL-6": "solves backwards in time by what was solved forwards: it needs no reference",
    "SOL-7": "two solves in a row are one: it needs no reference",
    "SOL-8": "rows of a batch do not see each other: it needs no reference",
    "SOL-9": "the same solve twice gives the same bits",
    "NODE-1": "the adjoint at every observed time, and not at the start alone",
    "NODE-2": "the only one that asks for the gradient in the parameters",
    "NODE-3": "the only one that asks for the gradient in the times",
    "NODE-4": "an invariant of adjoint and tangent: what both get wrong alike shows in their product",
    "NODE-5": "the determinant, which normalizing flows are made of",
    "SNOPT-1.1": "needs no reference, and refutes at round-off whatever the tolerance",
    "SNOPT-3": "a sentence that is false read literally, recorded as such",
    "SNOPT-5": "one layer at a time, by another route than SNOPT-4",
    "SNOPT-11": "a sentence that is false read literally, recorded as such",
    "SOL-1.1": "the field's own derivatives against its own values: it needs no second formula of the field",
    "SNOPT-1": "the only one that asks for the whole Hessian with its second derivatives of the field",
    "SNOPT-6.1": "a sentence that is false read literally, recorded as such",
    "SNOPT-8.1": "the inequality that SNOPT-8 makes plausible, asked for by itself",
    "SNOPT-12": "asks for bytes, and no answer: its mutant keeps every stage",
}
# claims about one family of models: what they refute is refuted by the general claims with a reference as well
FAMILIES: Mapping[str, str] = {
    "HB": "states the paper's own identity of heavy-ball models, a second reference beside the sensitivities",
    "ADAM": "states the paper's own identity of Adam models, a second reference beside the sensitivities",
}


def why_kept(claim: str) -> str:
    """The reason for a claim without a mutant of its own; empty where none is written."""
    return KEPT.get(claim) or FAMILIES.get(claim.split("-")[0], "")
