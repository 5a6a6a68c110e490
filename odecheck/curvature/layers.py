"""Layers h = W z + b as matrices: rows of inputs, rows of cotangents, and the gradient of (W, b) as one matrix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from odecheck.compat import own_parameters
from odecheck.compat import padding as same_padding

Layer = nn.Linear | nn.Conv2d


def supported(module: nn.Module) -> bool:
    """Whether curvature is known of a module: Linear, and Conv2d that is not grouped."""
    if not isinstance(module, Layer) or isinstance(module.weight, nn.UninitializedParameter):
        return False
    return not (isinstance(module, nn.Conv2d) and module.groups != 1)


def named_layers(model: nn.Module, fields: Iterable[object] = ()) -> dict[nn.Module, str]:
    """Layer → name, each once: supported ones whose weight is a parameter of their own that is to be trained.

    The name is that in the model, or in the field; where another layer has it already, fields[i].name.
    """
    found: dict[nn.Module, str] = {}
    for layer, name in _everywhere(model, fields):
        if isinstance(own_parameters(layer).get("weight"), nn.Parameter) and trained(layer):
            found.setdefault(layer, name)
    return found


def reparametrized(model: nn.Module, fields: Iterable[object] = ()) -> list[str]:
    """Names of layers whose weight is made of other parameters: by weight_norm, parametrizations or pruning."""
    return sorted(
        {name for layer, name in _everywhere(model, fields) if trained(layer) and "weight" not in own_parameters(layer)}
    )


def _everywhere(model: nn.Module, fields: Iterable[object]) -> Iterator[tuple[nn.Module, str]]:
    taken: dict[str, nn.Module] = {}
    for i, root in enumerate((model, *fields), -1):
        for name, module in root.named_modules() if isinstance(root, nn.Module) else ():
            if not supported(module):
                continue
            name = name or type(module).__name__
            if taken.setdefault(name, module) is not module:
                name = f"fields[{i}].{name}"
            yield module, name


def trained(layer: nn.Module) -> bool:
    return cast(Layer, layer).weight.requires_grad


def tied(layers: Iterable[nn.Module]) -> dict[nn.Module, nn.Module]:
    """Layer → the first one with the same weight and bias, which stands for all of them: their calls are its calls.

    Raises ValueError for layers that share a weight and differ otherwise: there is no matrix (W, b) of them all.
    """
    first: dict[Tensor, nn.Module] = {}
    found: dict[nn.Module, nn.Module] = {}
    for layer in layers:
        chosen = found[layer] = first.setdefault(cast(Layer, layer).weight, layer)
        if layer.bias is not chosen.bias or _windows(layer) != _windows(chosen):
            raise ValueError(
                f"{chosen} and {layer} share their weight and differ in something else. Usual cause: `b.weight = "
                "a.weight` between layers with biases of their own. Tie the biases too, `b.bias = a.bias`, or build "
                "both with bias=False; convolutions have to agree in stride, padding and dilation."
            )
    return found


def _windows(layer: nn.Module) -> tuple[object, ...]:
    if not isinstance(layer, nn.Conv2d):
        return ()
    return layer.stride, layer.padding, layer.dilation, layer.padding_mode


@dataclass(frozen=True)
class Shape:
    """How a layer's parameters are a matrix (outputs, inputs + 1 if there is a trained bias).

    Its columns are those of the weight as a matrix, for a convolution (out, in · height · width), then the bias.
    """

    outputs: int
    inputs: int
    bias: bool

    @classmethod
    def of(cls, layer: nn.Module) -> Shape:
        assert isinstance(layer, Layer)
        weight, bias = layer.weight, own_parameters(layer).get("bias")
        return cls(weight.shape[0], weight[0].numel(), bias is not None and bias.requires_grad)

    @property
    def columns(self) -> int:
        return self.inputs + self.bias

    def matrix(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """(outputs, columns) of tensors shaped as the layer's weight and bias."""
        flat = weight.reshape(self.outputs, self.inputs)
        return torch.cat([flat, bias[:, None]], 1) if self.bias and bias is not None else flat

    def parts(self, matrix: Tensor, weight: Tensor) -> tuple[Tensor, Tensor | None]:
        """The reverse: tensors shaped as `weight` and the bias."""
        bias = matrix[:, self.inputs] if self.bias else None
        return matrix[:, : self.inputs].reshape(weight.shape), bias


@dataclass(frozen=True)
class Counts:
    """What the rows of one call W z + b stand for.

    samples: how many samples the rows belong to. positions: rows of one sample. shared: how many samples of the state
    see the same row, where a layer is called once for all of them, as with the time alone.
    """

    samples: int
    positions: int
    shared: int

    @classmethod
    def of(cls, layer: nn.Module, g: Tensor, samples: int | None = None) -> Counts:
        """Of a call by the cotangent of its output; samples: of the state of the solve, by default those of the call.

        Axes between the first and the features are positions, as pixels are (Grosse & Martens, arXiv:1602.01407), and
        so is what the first axis has beyond the samples. `samples.check` refuses what is neither of the two.
        """
        lead, rows = leading(layer, g)
        samples = samples or lead
        own = 1 if (lead if isinstance(layer, nn.Conv2d) else rows) % samples else samples
        return cls(own, rows // own, samples // own)


def leading(layer: nn.Module, g: Tensor) -> tuple[int, int]:
    """Length of the first axis of a call, 1 if it has no batch, and its rows, by the cotangent of its output."""
    if isinstance(layer, nn.Conv2d):
        return (len(g), g.numel() // g.shape[1]) if g.dim() == 4 else (1, g[0].numel())
    return len(g) if g.dim() > 1 else 1, g.numel() // g.shape[-1]


def input_rows(layer: nn.Module, shape: Shape, z: Tensor) -> Tensor:
    """(rows, columns), sample by sample; for a convolution the patches under its kernel; a last 1 for a bias."""
    rows = _patches(layer, z) if isinstance(layer, nn.Conv2d) else z.reshape(-1, shape.inputs)
    return functional.pad(rows, (0, 1), value=1.0) if shape.bias else rows


def cotangent_rows(layer: nn.Module, shape: Shape, g: Tensor) -> Tensor:
    """(rows, outputs), in the same order."""
    if isinstance(layer, nn.Conv2d):
        g = (g if g.dim() == 4 else g[None]).flatten(2).transpose(1, 2)
    return g.reshape(-1, shape.outputs)


def _patches(layer: nn.Conv2d, z: Tensor) -> Tensor:
    """(batch · pixels of the output, in · height · width)."""
    z = z if z.dim() == 4 else z[None]
    padding = layer.padding
    if layer.padding_mode != "zeros" or isinstance(padding, str):
        mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
        z, padding = functional.pad(z, same_padding(layer), mode=mode), 0
    patches = functional.unfold(z, layer.kernel_size, layer.dilation, padding, layer.stride)
    return patches.transpose(1, 2).reshape(-1, patches.shape[1])
