"""The classes that are used with a subject's solves, odecheck's own or those of whoever is asked.

A subject says which by `Subject(..., kit={"optimizer": MyOptimizer})`; a class that it does not name is odecheck's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from odecheck.curvature import SampleIntegrals
from odecheck.errors import BadInput
from odecheck.fields.cnf import CNF
from odecheck.optim.horizon import HorizonDescent, HorizonFeedback, HorizonNewton
from odecheck.optim.snopt import SNOpt
from odecheck.subject import Subject

KIT: Mapping[str, type] = MappingProxyType(
    {
        "optimizer": SNOpt,
        "samples": SampleIntegrals,
        "descent": HorizonDescent,
        "feedback": HorizonFeedback,
        "newton": HorizonNewton,
        "flow": CNF,
    }
)
"""What can be given, and what stands in its place otherwise; one of your own takes the arguments of that class."""


def of_kit(subject: Subject, name: str) -> Any:
    """The class that a subject uses.

    Args:
        subject: Which may bring one.
        name: One of KIT.

    Returns:
        The subject's own, or odecheck's.
    """
    return subject.kit.get(name, KIT[name])


def check_kit(subject: Subject) -> None:
    """Raises BadInput for a class under a name that no claim asks for."""
    unknown = sorted(set(subject.kit) - set(KIT))
    if unknown:
        raise BadInput(
            f"the kit of subject {subject.name!r} has {', '.join(map(repr, unknown))}, which no claim asks for",
            "a misspelt name",
            f"kit={{...}} with names out of {', '.join(KIT)}",
        )
