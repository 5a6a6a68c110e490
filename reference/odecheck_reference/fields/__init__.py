"""Vector fields with hand-derived first and second derivatives in time, state and parameters."""

from .adam import Adam
from .assembly import Map
from .augmented import Augmented
from .classical import Logistic, Lorenz, LotkaVolterra, Pendulum, VanDerPol
from .coefficients import Coefficient, Fixed, Free, Learnt, OfTime
from .field import AnyArray, Field, Jet, split, zeros
from .functions import ACTIVATIONS
from .gradient_flow import GradientFlow
from .heavy_ball import GeneralisedHeavyBall, HeavyBall
from .jets import Jets
from .linear import Linear
from .mlp import Mlp
from .pulled import Pulled, pull
from .second_order import SecondOrder
from .switched import Switched

__all__ = [
    "ACTIVATIONS",
    "Adam",
    "AnyArray",
    "Augmented",
    "Coefficient",
    "Field",
    "Fixed",
    "Free",
    "GeneralisedHeavyBall",
    "GradientFlow",
    "HeavyBall",
    "Jet",
    "Jets",
    "Learnt",
    "Linear",
    "Logistic",
    "Lorenz",
    "LotkaVolterra",
    "Map",
    "Mlp",
    "OfTime",
    "Pendulum",
    "Pulled",
    "SecondOrder",
    "Switched",
    "VanDerPol",
    "pull",
    "split",
    "zeros",
]
