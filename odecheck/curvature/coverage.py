"""Whether the calls that hooks saw are all that a field does with its weights: by the graph of one evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from .layers import Layer


@dataclass(eq=False)
class Seen:
    """One evaluation of a field.

    calls: layer → how often its hook was called. own: whether the field differentiated itself meanwhile, for its
    divergence say: then weights are in its graph more often than they are called.
    """

    calls: Counter[nn.Module] = field(default_factory=Counter)
    own: bool = False


@dataclass(frozen=True)
class Missed:
    """failure: why the curvature would be wrong, or empty. unseen: names of layers whose gradient is not looked at."""

    failure: str = ""
    unseen: tuple[str, ...] = ()


def missed(output: Any, layers: Mapping[nn.Module, str], seen: Seen) -> Missed:
    """What was done with the weights of layers (→ names), besides calling the layers.

    A layer that this evaluation does not use is none of them, nor is a frozen one.
    """
    entered = _entered(output, layers)
    unseen = [name for layer, name in layers.items() if entered[layer] and not seen.calls[layer]]
    partly = [name for layer, name in layers.items() if 0 < seen.calls[layer] < entered[layer]]
    if partly and not seen.own:
        return Missed(
            f"the weight of {', '.join(partly)} is used besides calling the layer, and curvature is gathered from "
            "calls alone: it would be a part of the whole. Usual cause: functional.linear(x, layer.weight), or one "
            "tied to an embedding. Call the layer there too, or make the other weight a parameter of its own."
        )
    if unseen and not any(seen.calls[layer] for layer in layers):
        return Missed(
            f"the field was solved with {', '.join(unseen)}, and no call of a layer was seen: hooks are skipped. Usual "
            "cause: torch.compile of the field, or functional.linear(x, layer.weight). Train with the field as it was "
            "before torch.compile, and call layers as layer(x)."
        )
    return Missed(unseen=tuple(unseen))


def _entered(output: Any, layers: Mapping[nn.Module, str]) -> Counter[nn.Module]:
    """How often the weight of each layer enters the graph of an output."""
    edges = {}
    for layer in layers:
        weight = cast(Layer, layer).weight
        if weight.requires_grad:
            edge = get_gradient_edge(weight)
            edges[edge.node, edge.output_nr] = layer
    found: Counter[nn.Module] = Counter()
    outputs = [output] if isinstance(output, Tensor) else output
    following = [x.grad_fn for x in outputs if x.grad_fn is not None]
    known = set(following)
    while following:
        for node, number in following.pop().next_functions:
            if (node, number) in edges:
                found[edges[node, number]] += 1
            elif node is not None and node not in known:
                known.add(node)
                following.append(node)
    return found
