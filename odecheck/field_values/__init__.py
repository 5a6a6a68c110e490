"""A field asked by its values alone: whether its derivatives are theirs, and whether it is a function of (t, y, theta).

A model without a second formula is believed by everything that comes later: its own derivatives become the reference's.
What it cannot fake are its values, so these are asked, at random times in equal strata, and beside the trajectory too.
"""

from .answers import Answer
from .constants import constants
from .derivatives import ask_derivatives
from .function import ask_function, without_influence
from .jets import ask_jets
from .line import NoBackward
from .look import FieldSeen, look
from .points import Path, rough_path
from .refusal import in_time_alone, refusal, refusal_of
from .seen import Defect, DerivativesSeen, Sample

__all__ = [
    "Answer",
    "Defect",
    "DerivativesSeen",
    "FieldSeen",
    "NoBackward",
    "Path",
    "Sample",
    "ask_derivatives",
    "ask_function",
    "ask_jets",
    "constants",
    "in_time_alone",
    "look",
    "refusal",
    "refusal_of",
    "rough_path",
    "without_influence",
]
