"""Engines that have second derivatives of models too large for a matrix: times a direction."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from odecheck.errors import Unsupported
from odecheck.solvers import Solver

from .base import Engine, LossFn


@runtime_checkable
class ProductEngine(Engine, Protocol):
    """An engine that has Hessian-vector products, in another way than through torch's graph, or raises Unsupported."""

    def product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """The Hessian of loss(solution) in y0 and the parameters, times a direction.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: as for `solution`.
            ts: as for `solution`.
            loss: as for `gradient`.
            of_y0: the direction's part in the start, of the shape of y0.
            of_params: its parts in the parameters, each of its parameter's shape.

        Returns:
            The product's parts, in the shapes of (y0, *parameters).
        """
        ...


@runtime_checkable
class GaussNewtonEngine(ProductEngine, Protocol):
    """An engine that has Gauss–Newton products as well: those of models too large for a matrix."""

    def gauss_newton_product(
        self,
        module: nn.Module,
        solver: Solver,
        y0: Tensor,
        ts: Tensor,
        loss: LossFn,
        of_y0: Tensor,
        of_params: list[Tensor],
    ) -> list[Tensor]:
        """Xᵀ Φ_yy X times a direction, X the derivative of the solution in y0 and the parameters.

        Args:
            module: as for `solution`.
            solver: as for `solution`.
            y0: as for `solution`.
            ts: as for `solution`.
            loss: as for `gradient`.
            of_y0: as for `product`.
            of_params: as for `product`.

        Returns:
            As `product`.
        """
        ...


def products_of(engine: Engine) -> GaussNewtonEngine:
    """The engine itself. Raises Unsupported when it has no products of second order."""
    if not isinstance(engine, GaussNewtonEngine):
        raise Unsupported(f"{engine.name} has no Hessian-vector and Gauss-Newton-vector products of its own")
    return engine
