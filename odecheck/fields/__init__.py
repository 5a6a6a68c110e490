"""Vector fields of neural ODEs as torch modules, called as field(t, y); their states have named parts on one tensor."""

from .adam import AdamNODE
from .coefficients import Fixed, Free, Learnt, OfTime
from .heavy_ball import GHBNODE, HBNODE
from .node import ANODE, NODE, Autonomous, WithTime
from .parts import FieldError, Parts
from .second_order import SONODE

__all__ = [
    "ANODE",
    "GHBNODE",
    "HBNODE",
    "NODE",
    "SONODE",
    "AdamNODE",
    "Autonomous",
    "FieldError",
    "Fixed",
    "Free",
    "Learnt",
    "OfTime",
    "Parts",
    "WithTime",
]
