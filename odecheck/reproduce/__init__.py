"""A row that was refuted, as a script to paste into a bug report: it needs the library, numpy and scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch
from odecheck_reference import Problem
from odecheck_reference.fields import Switched

from odecheck.claim import Claim
from odecheck.engines.script_call import Call
from odecheck.errors import Unsupported
from odecheck.foreign import comment
from odecheck.subject import Subject, tensor

from . import fields
from .library_call import call as call_of
from .question import Question, bar_text
from .registry import ask

TEMPLATES = Path(__file__).parent / "templates"


def script(
    claim: Claim,
    subject: Subject,
    problem: Problem,
    *,
    observed: float,
    expected: float,
    bar: float,
    worst: str = "",
    library: str = "",
) -> str:
    """Write the script that asks a claim's question of the subject's library alone, and exits with 1 where it is off.

    Its bar lies half way between the row's bar and its gap.

    Args:
        claim: the claim.
        subject: solver and engine, as the row has them.
        problem: the problem.
        observed: of the row.
        expected: of the row.
        bar: of the row.
        worst: the index of the row's worst component, as text.
        library: name and version, for the first line, which is a comment whatever they are.

    Returns:
        Python text that needs the library, numpy and scipy.

    Raises:
        BadInput: a claim, field or library that has no text, or an index or numbers that are none.
        Unsupported: a question that cannot be asked of the library.
    """
    question = ask(claim.id, subject, problem, worst)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    variables = _variables(question)
    of_row = bar_text(observed, expected, bar, relative=question.relative)
    variables |= {
        "title": comment(_shortened(claim.text)),
        "library": comment(library or subject.engine.name),
        "torch": comment(torch.__version__),
        "bar": question.bar or (variables["granted"] if question.granted else of_row),
    }
    text = environment.get_template(f"{question.kind}.py.j2").render(**variables)
    if variables["call"].language != "torch" and "torch." in text:
        raise Unsupported(f"{subject.engine.name} has no solution in torch's graph")
    return text


def _variables(question: Question) -> dict[str, Any]:
    asked, call = question.problem, call_of(question.subject, tensor(question.problem.ts))
    body, y0 = fields.lines(asked.field), asked.y0
    if question.carried:
        body, y0 = fields.with_cost(body, asked.running), np.c_[y0, np.zeros(len(y0))]
    rate = "f(t, y.reshape(np.shape(y0)), p)"
    if call.language == "torch":
        rate = "f(*map(torch.tensor, (np.float64(t), y.reshape(np.shape(y0)), p))).numpy()"
    elif call.language == "jax":
        rate = f"np.array({rate})"
    found: dict[str, Any] = {
        "call": call,
        "field": [fields.in_language(line, call.language) for line in body],
        "rate": rate,
        "granted": _granted(question, call),
        "what": question.what,
        "beside": question.beside,
        "jump": asked.field.at if isinstance(asked.field, Switched) else "",
        "y0": y0.tolist(),
        "p": asked.theta.tolist(),
        "ts": asked.ts.tolist(),
        **{name: value(call) if callable(value) else value for name, value in question.variables.items()},
    }
    for name in ("loss", "constants", "value"):
        if name in found and call.language != "torch":
            numbers = found[name].replace("torch.tensor", "")
            found[name] = fields.in_language(numbers, call.language)
    return found


def _granted(question: Question, call: Call) -> str:
    """The bar of an error that is granted to each evaluation. A compiled field cannot count: a thousandth will do."""
    if not question.granted:
        return ""
    return "1e-3 * np.abs(true).max()" if call.language == "jax" else f"{question.granted:.3g} * len(calls)"


def _shortened(text: str) -> str:
    """The first sentence, on one line."""
    first = text.split(". ")[0].rstrip(".") + "."
    return first if len(first) <= 90 else first[:87].rsplit(" ", 1)[0] + " ..."
