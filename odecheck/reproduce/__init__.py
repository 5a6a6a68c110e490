"""A row that was refuted, as a script to paste into a bug report: it needs the library, torch, numpy and scipy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from odecheck_reference import Problem
from odecheck_reference.fields import Switched

from ..claim import Claim
from ..door import BadInput
from ..subject import Subject, tensor
from . import fields, libraries
from .questions import ask

TEMPLATES = Path(__file__).parent / "templates"


def script(claim: Claim, subject: Subject, problem: Problem, *, observed: float, expected: float, bar: float,
           library: str = "") -> str:  # fmt: skip
    """Python text that asks the claim's question of the subject's library alone, and exits with 1 where it is off.

    observed, expected, bar: of the row. The script's bar lies half way between the row's bar and its gap. library: name
    and version. Raises BadInput for a claim, field or library that has no text.
    """
    try:
        import jinja2
    except ImportError as missing:
        raise BadInput(
            "jinja2 is not installed", "it comes with an extra", "pip install 'odecheck[report]'"
        ) from missing
    question = ask(claim.id, subject, problem)
    call = libraries.call(question.subject, tensor(question.problem.ts))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    asked = question.problem
    variables: dict[str, Any] = {
        "title": _shortened(claim.text), "library": library or subject.engine.name,
        "torch": torch.__version__,
        "call": call, "field": fields.lines(asked.field), "what": question.what,
        "jump": asked.field.at if isinstance(asked.field, Switched) else "", "y0": asked.y0.tolist(),
        "p": asked.theta.tolist(), "ts": asked.ts.tolist(), "bar": _bar(observed, expected, bar, question.relative),
        **question.variables,
    }  # fmt: skip
    found = environment.get_template(f"{question.kind}.py.j2").render(**variables)
    return found.replace("HOW", call.how)


def _shortened(text: str) -> str:
    """The first sentence, on one line."""
    first = text.split(". ")[0].rstrip(".") + "."
    return first if len(first) <= 90 else first[:87].rsplit(" ", 1)[0] + " ..."


def _bar(observed: float, expected: float, bar: float, relative: bool) -> str:
    gap = abs(observed - expected)
    if not math.isfinite(gap):
        return "1e-6 * np.abs(true).max() + 1e-6"
    between = f"{(bar + gap) / 2:.3g}"
    return f"{min((bar + gap) / 2, 1e-3):.3g} * np.abs(true).max()" if relative else between
