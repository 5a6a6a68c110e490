"""Vector fields of neural ODEs as torch modules, called as field(t, y), on states of named parts."""

from .adam import AdamNODE
from .cnf import CNF, ConcatSquash
from .coefficients import Fixed, Free, Learnt, OfTime
from .heavy_ball import GHBNODE, HBNODE
from .layer import NODELayer
from .node import ANODE, NODE, Autonomous, WithTime
from .ode_rnn import ODERNN, GRUJump, LinearJump
from .parts import FieldError, Parts
from .second_order import SONODE

__all__ = [
    "ANODE",
    "CNF",
    "GHBNODE",
    "HBNODE",
    "NODE",
    "ODERNN",
    "SONODE",
    "AdamNODE",
    "Autonomous",
    "ConcatSquash",
    "FieldError",
    "Fixed",
    "Free",
    "GRUJump",
    "Learnt",
    "LinearJump",
    "NODELayer",
    "OfTime",
    "Parts",
    "WithTime",
]
