"""odecheck explain: what a claim states, where it is stated, and what it has to refute."""

from __future__ import annotations

import inspect
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from .common import refuse, say
from .look import PIPED, console
from .options import claim_ids

if TYPE_CHECKING:
    from odecheck.claim import Claim

INDENT = 16


def explain(
    claims: Annotated[
        list[str],
        typer.Argument(
            metavar="CLAIM",
            autocompletion=claim_ids,
            help="An id (NODE-2, node2), 'NODE-*', a family (HB), a topic, a title.",
        ),
    ],
) -> None:
    """Explain a claim: its statement and formula, its source, when it is true, and the wrong subjects that it refutes.

    \b
    odecheck explain NODE-2
    odecheck explain HB
    odecheck explain "parameter gradient"
    """
    from odecheck.claims.find import by_id, found
    from odecheck.errors import BadInput

    try:
        several = found(claims, by_id().values())
    except BadInput as refused:
        refuse(refused)
    width = console().width
    say("\n\n".join(told(claim, 0 if width == PIPED else width) for claim in several))


def told(claim: Claim, width: int = 0) -> str:
    """Everything that is declared of one claim, in lines of text.

    Args:
        claim: any.
        width: of the lines; 0: as long as they are.
    """
    from odecheck.claims import ALL

    statement, _, more = (inspect.getdoc(claim.statement) or "").partition("\n\n")
    false = claim.expect == "refuted"
    when = f"where {claim.when.text}; elsewhere it is refuted, by what is predicted" if claim.when else ""
    page = f"docs/{claim.family.page}, section {claim.id}" if claim.family.page and claim in ALL else ""
    pairs = [
        ("statement", " ".join(statement.split())),
        ("", more),
        ("source", claim.source),
        ("family", f"{claim.family.id}: {claim.family.title}"),
        ("expected", "refuted: false as it reads, and off by just what is predicted" if false else str(claim.expect)),
        ("true", when),
        (
            "resolution",
            f"a larger relative defect than {claim.resolution:g} is refuted, or the verdict is inconclusive",
        ),
        ("asked by", _asked_by(claim)),
        ("has to refute", "\n".join(mutant.name for mutant in claim.mutants)),
        ("page", page),
        ("next", f"odecheck verify my_model.py:net{' --rtol 1e-3' if _is_own(claim) else ''} --claim {claim.id}"),
    ]
    lines = [f"{claim.id}  {claim.title}", ""]
    for name, text in pairs:
        for i, line in enumerate(text.splitlines()):
            whole = f"{'' if i else name:<{INDENT}}{line}"
            lines += wrap(whole, width, subsequent_indent=" " * INDENT, break_on_hyphens=False) if width else [whole]
    return "\n".join(lines)


def _is_own(claim: Claim) -> bool:
    from odecheck.claims.shared.own_tolerance import CLAIMS

    return claim in CLAIMS


def _asked_by(claim: Claim) -> str:
    from odecheck.claims import ALL, CONFORMANCE

    asked = "odecheck verify" if claim in ALL else f"odecheck verify --claim {claim.id}"
    if _is_own(claim):
        asked = "odecheck verify --rtol NUMBER"
    return asked + (", odecheck conformance" if claim in CONFORMANCE or claim.of_libraries else "")
