"""SNOpt: Kronecker-preconditioned training of modules that hold ODE layers.

Source: Liu, Chen, Theodorou, "Second-Order Neural ODE Optimizer", arXiv:2109.14158, and its published code. At a
refresh, U_A and U_B are the eigenvectors of a layer's factors A and B, and s = β αᵀ the products of their eigenvalues.
At every step, with G the gradient of the mean loss over a batch of n samples,

    s ← a s + (1 − a) n (U_Bᵀ G U_A)²,      G ← U_B [(U_Bᵀ G U_A) ⊘ (s + ε)] U_Aᵀ.

n G² has the expectation of a squared gradient of one sample where gradients of samples have mean zero and are
uncorrelated: s goes from the Kronecker product to second moments in its basis.

What is done here otherwise than in the published code:

| there                                     | here                                  | why                              |
|-------------------------------------------|---------------------------------------|----------------------------------|
| factors: means over a grid of points of   | integrals over the accepted steps of  | no more evaluations, the same    |
| its own, a step size apart                | the gradient's own adjoint solve      | gradient, no step size in scales |
| n: the batch of the last refresh          | the same, or `step(samples=n)`        | the last batch of an epoch       |
| models and fields of its own classes      | any module                            | it is asked on users' models     |
| a changed copy of torchdiffeq             | torchdiffeq, odecheck.odeint          | the same                         |
| no bound on a step, no average of factors | `radius` and `decay`, off by default  | trainings that need them         |
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from odecheck.compat import own_parameters
from odecheck.curvature import Blocks, Eigenbasis, Factors, Gather, KroneckerSums, SampleIntegrals
from odecheck.curvature.collector import Which
from odecheck.curvature.factors import Reduction
from odecheck.curvature.layers import Layer, Shape, reparametrized
from odecheck.curvature.samples import Told
from odecheck.errors import CurvatureError

Spectrum = Literal["running", "factors", "samples"]
SPECTRA = get_args(Spectrum)


class SNOpt(torch.optim.Optimizer):
    """A preconditioner of gradients, in two lines of a training loop, in front of any optimizer of torch.

        precondition = SNOpt(model, damping=0.05, refresh=100)
        loss.backward(); precondition.step(); optimizer.step()

    `step` replaces the gradient G of every linear and two-dimensional convolutional layer inside an ODE field by
    U_B [(U_Bᵀ G U_A) ⊘ (s + damping)] U_Aᵀ, in the eigenbases of the factors A and B of the last refresh (see
    `odecheck.curvature.Factors`); `spectrum` says what s is. Momentum, learning rate and weight decay are the wrapped
    optimizer's. Solves are those of `torchdiffeq.odeint_adjoint` or `odecheck.odeint`.

    Step 0 and every `refresh`-th after it is a refresh: while its forward and backward pass run, the model carries
    hooks, and callbacks on its fields that call the user's own; after `step` it is as it was. A refresh step's gradient
    is the ordinary gradient, bit for bit. The memory needed does not depend on the number of the solver's steps.

    `state_dict` and `load_state_dict` are those of any optimizer; a run that goes on from them is the same bit for bit.

    Args:
        model: a module that holds the fields, each of them as one of its submodules.
        spectrum: what s is. "running", the published rule: β αᵀ at a refresh, and in every step, that of the refresh
            included, a moving average with squared gradients in the basis. "factors": β αᵀ until the next refresh,
            a step is (A ⊗ B + damping · I)⁻¹ vec G: K-FAC (Martens & Grosse, arXiv:1503.05671). "samples": second
            moments of the single samples' gradients in the basis, at each refresh (George et al., arXiv:1806.03884);
            a refresh then keeps a gradient for each sample, and the layers are those of fields.
        average: a, the share of the former s in each step of the running average, at least 0 and less than 1.
        damping: ε > 0, absolute: in units of squared gradients of one sample times squared inputs. The step of a
            direction without curvature is 1/ε times its gradient's. May be changed in `param_groups[0]`.
        refresh: steps from one refresh to the next, 1 or more. May be changed likewise.
        radius: the longest step, before the learning rate, in the metric of the damped curvature: preconditioned
            gradients P are multiplied by min(1, radius / √ΣPᵀG), with one factor for all layers. None: as they are.
        decay: of the running averages of A and B: new = decay · old + (1 − decay) · gathered. 0 keeps none.
        layers: "ode", those in fields alone, or "all" of the model.
        reduction: "mean" or "sum": how the loss is made of its samples.
        fields: fields that are given to odeint and are not inside `model`.
        samples: how many a solve has, or a function of its state, such as `len`. None: the length of the state's first
            axis (of tuples, of their parts with two axes or more), refused where calls of layers contradict it.

    Raises:
        ValueError: an option out of its range, a model without a layer to be trained, or layers that share a weight
            and differ otherwise. (Those that share weight and bias are one layer, called more than once.)
        CurvatureError: from `step` of a refresh: no adjoint solve was seen, its method is no Runge–Kutta method, the
            number of samples cannot be told, calls of layers were not seen (after torch.compile) or are not all that is
            done with a weight, or the factors are not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        damping: float = 0.05,
        refresh: int = 100,
        spectrum: Spectrum = "running",
        average: float = 0.75,
        decay: float = 0.0,
        radius: float | None = None,
        layers: Which = "ode",
        reduction: Reduction = "mean",
        fields: Sequence[Callable[..., Any]] = (),
        samples: Told = None,
    ) -> None:
        if not damping > 0:
            raise ValueError(f"damping is {damping}; it has to be positive, for example 0.05")
        if refresh < 1 or refresh != int(refresh):
            raise ValueError(f"refresh is {refresh}; it is a number of steps, 1 or more")
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; it has to be at least 0 and less than 1")
        if spectrum not in SPECTRA:
            raise ValueError(f"spectrum is {spectrum!r}; it is one of {', '.join(map(repr, SPECTRA))}")
        if not 0 <= average < 1:
            raise ValueError(f"average is {average}; it has to be at least 0 and less than 1")
        if spectrum == "samples" and layers != "ode":
            raise ValueError("gradients of single samples are known in solves alone: use layers='ode' with them")
        if radius is not None and not radius > 0:
            raise ValueError(f"radius is {radius}; it has to be positive, or None")
        if layers not in ("ode", "all"):
            raise ValueError(f"layers is {layers!r}; it is 'ode' or 'all'")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction is {reduction!r}; it is 'mean' or 'sum'")
        self._sums = SampleIntegrals() if spectrum == "samples" else KroneckerSums(self._drop)
        self._gather = Gather(model, self._sums, layers=layers, fields=fields, samples=samples)
        self._layers = cast(list[Layer], list(dict.fromkeys(self._gather.stands_for.values())))
        parameters = [p for layer in self._layers for p in (layer.weight, layer.bias) if isinstance(p, nn.Parameter)]
        others = ", ".join(reparametrized(model, fields))
        if not parameters:
            made_of_others = f". (The weights of {others} are made of other parameters.)" if others else ""
            raise ValueError(
                "the model has no linear or two-dimensional convolutional layer with a weight to be trained; "
                "SNOpt preconditions these" + made_of_others
            )
        if others:
            warnings.warn(
                f"the gradients of {others} stay as they are: their weights are made of other parameters (weight_norm, "
                "spectral_norm, another parametrization, or pruning), and SNOpt preconditions weights alone.",
                stacklevel=2,
            )
        options = {"damping": damping, "refresh": int(refresh), "decay": decay, "radius": radius}
        options |= {"spectrum": spectrum, "average": average, "reduction": reduction, "steps": 0}
        super().__init__(list(dict.fromkeys(parameters)), options)
        self._prepare()

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], Any] | None = None, *, samples: int | None = None
    ) -> Any:
        """Precondition the gradients in place.

        Args:
            closure: evaluates the loss and its gradients first, as in other optimizers.
            samples: how many samples this batch has, for the running average; by default as many as at the last
                refresh, as in the published code. A last, smaller batch of an epoch is such a case.

        Returns:
            What the closure returned, or None.

        Raises:
            CurvatureError: on a refresh; the model is then left alone and nothing was preconditioned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        group = self.param_groups[0]
        if self._gather.active:
            self._renew(group)
        changed: list[Tensor] = []
        products: list[Tensor] = []
        for layer in self._layers:
            weight, bias = layer.weight, own_parameters(layer).get("bias")
            state = self.state.get(weight)
            if not state or "columns" not in state or weight.grad is None or not weight.requires_grad:
                continue
            basis = Eigenbasis(state["columns"], state["outputs"], state["spectrum"])
            # as it was at the refresh: what has been frozen since has a gradient of zero, what was then stays as it is
            inputs = weight[0].numel()
            shape = Shape(len(weight), inputs, len(basis.columns) > inputs)
            slope = bias.grad if shape.bias and bias is not None and bias.requires_grad else None
            frozen = shape.bias and slope is None
            gradient = shape.matrix(weight.grad, weight.new_zeros(len(weight)) if frozen else slope)
            rotated = basis.rotated(gradient)
            if group["spectrum"] == "running":
                self._average(basis, rotated, samples or state["samples"], group)
            preconditioned = basis.divided(rotated, group["damping"])
            if group["radius"] is not None:
                products.append((preconditioned * gradient).sum())
            of_weight, of_bias = shape.parts(preconditioned, weight)
            changed.append(weight.grad.copy_(of_weight))
            if of_bias is not None and slope is not None:
                changed.append(slope.copy_(of_bias))
        if products:
            length = torch.stack(products).sum().clamp(min=0).sqrt()
            by = (cast(float, group["radius"]) / length).clamp(max=1.0)
            for gradient in changed:
                gradient.mul_(by)
        group["steps"] += 1
        self._prepare()
        return loss

    @staticmethod
    def _average(basis: Eigenbasis, rotated: Tensor, samples: int, group: dict[str, Any]) -> None:
        """The spectrum, in place, after one more gradient of a batch; that of a sum is `samples` times too large."""
        by = samples if group["reduction"] == "mean" else 1 / samples
        basis.spectrum.mul_(group["average"]).addcmul_(rotated, rotated, value=by * (1 - group["average"]))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state.

        Args:
            state_dict: what `state_dict()` of an optimizer of the same model gave.
        """
        super().load_state_dict(state_dict)
        for group in self.param_groups:  # what was saved before there was a choice
            group.setdefault("spectrum", "factors")
            group.setdefault("average", 0.75)
        self._prepare()

    def close(self) -> None:
        """Take hooks off the model without waiting for the end of a refresh step; `step` puts them on again."""
        self._gather.remove()

    def _prepare(self) -> None:
        """Put hooks on the model if the next step is a refresh, take them off if it is not."""
        group = self.param_groups[0]
        due = group["steps"] % group["refresh"] == 0
        if due != self._gather.active:
            if due:
                self._gather.install()
            else:
                self._gather.remove()

    def _drop(self) -> None:
        """What a refresh makes anew need not be kept while it is made."""
        for state in self.state.values():
            for name in ("columns", "outputs", "spectrum"):
                state.pop(name, None)

    def _renew(self, group: dict[str, Any]) -> None:
        """New factors and eigenbases from what was gathered."""
        self._gather.remove()
        try:
            self._gather.finish()
            found, samples, blocks = self._found(group["reduction"])
        finally:
            self._sums.clear()
            self._gather.reset()
        while found:
            layer, factors = found.popitem()
            if not bool(factors.A.isfinite().all() & factors.B.isfinite().all()):
                raise CurvatureError(
                    "the curvature of a layer is infinite or NaN. Usual cause: the loss diverged, or an ODE solution "
                    "grew without bound. Try a smaller learning rate, or a larger damping."
                )
            state = self.state[cast(Layer, layer).weight]
            self._keep(state, factors, group["decay"])
            state["samples"] = samples[layer]
            if layer in blocks:
                basis = Eigenbasis(state["columns"], state["outputs"], state["spectrum"])
                state["spectrum"] = basis.reestimated(blocks.pop(layer).integrals).spectrum

    def _found(self, reduction: Reduction) -> tuple[dict[Any, Factors], dict[Any, int], dict[Any, Blocks]]:
        """What a refresh gathered, by layer: factors, how many samples they are of, blocks of single samples."""
        if isinstance(self._sums, SampleIntegrals):
            blocks = self._sums.blocks(reduction)
            return (
                {layer: block.factors for layer, block in blocks.items()},
                {layer: len(block.A) for layer, block in blocks.items()},
                blocks,
            )
        found = self._sums.factors(along=self._gather.of_field, reduction=reduction)
        return found, {layer: self._sums.samples(layer) for layer in found}, {}

    @staticmethod
    def _keep(state: dict[str, Tensor], factors: Factors, decay: float) -> None:
        if decay:
            if "A" in state and state["A"].shape == factors.A.shape:  # a bias frozen in between takes a column away
                factors = Factors(torch.lerp(factors.A, state["A"], decay), torch.lerp(factors.B, state["B"], decay))
            state["A"], state["B"] = factors.A, factors.B
        basis = Eigenbasis.of(factors)
        state["columns"], state["outputs"], state["spectrum"] = basis.columns, basis.outputs, basis.spectrum
