"""One step with its tangent, its adjoint and its second-order adjoint, captured as four graphs of operations.

Of a step (y, θ) ↦ y⁺ reverse mode is run over forward mode: the pair (y⁺, ẏ⁺) pulled back with the cotangents (μ, λ)
gives λ₀ and g = (∂y⁺)ᵀ λ in y and θ, and their derivatives along (ẏ, θ̇), with μ moving along. One capture has all of
it; every operation then belongs to the first of four parts that has its inputs:

- `step`: what depends on (y, θ) alone;
- `tangent`: and on (ẏ, θ̇);
- `adjoint`: and on λ;
- `second`: and on all of them, or on μ.

What a part needs of an earlier one is kept between them, except views and cheap operations, which it repeats.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from odecheck import compat

Run = Callable[[list[Tensor]], Sequence[Tensor]]
Compiler = Callable[[fx.GraphModule, list[Tensor]], Run]
PARTS = ("step", "tangent", "adjoint", "second")


@dataclass(frozen=True)
class Part:
    """One of the four graphs.

    Attributes:
        run: a list of the values of `reads`, in that order → a sequence of the values of `writes`.
        reads: names of what it reads: arguments of the captured function, and values kept by earlier parts.
        writes: names of what it gives: first its results, then what later parts read.
        results: how many of those are results.
    """

    run: Run
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    results: int

    def __call__(self, values: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """From all values known by name to (the results, what is kept for later parts)."""
        found = list(self.run([values[name] for name in self.reads]))
        return found[: self.results], dict(zip(self.writes[self.results :], found[self.results :], strict=True))


def split(
    graph: fx.GraphModule, parts_of_arguments: dict[str, int], results: Sequence[int], compiler: Compiler
) -> dict[str, Part]:
    """Split a captured function into its four parts and compile each.

    Args:
        graph: captured with real tensors; its placeholders are the arguments, its output is a flat tuple.
        parts_of_arguments: placeholder → bits: 0 the step's own, 1 tangents, 2 λ, 4 μ.
        results: for every output the index in `PARTS` of the part that gives it.
        compiler: turns a graph and example inputs into a function of a list.

    Returns:
        The parts by name.

    Raises:
        ValueError: an operation has several results and cannot be split, so that a part would need a later one.
    """
    nodes = list(graph.graph.nodes)
    part_of = _parts_of_nodes(nodes, parts_of_arguments)
    outputs: list[fx.Node] = list(nodes[-1].args[0])
    for node, part in zip(outputs, results, strict=True):
        if part != 3 and part_of[node] not in (0, part):
            raise ValueError(f"{node} of the part {PARTS[part]!r} comes from {PARTS[part_of[node]]!r}")
    wanted = [[x for x, part in zip(outputs, results, strict=True) if part == i] for i in range(len(PARTS))]
    needed = _ancestors(wanted[0])
    builds = [_Build(graph, i, part_of, needed) for i in range(len(PARTS))]
    for build, own in zip(builds, wanted, strict=True):
        build.add(own)
    # a part gives what later ones read; to compute that it may read more, so the last one is asked first
    for i in reversed(range(len(PARTS) - 1)):
        read = dict.fromkeys(x for later in builds[i + 1 :] for x in later.reads if part_of[x] == i)
        builds[i].add([x for x in read if x.op != "placeholder"])
    return {name: build.part(compiler) for name, build in zip(PARTS, builds, strict=True)}


def _parts_of_nodes(nodes: Sequence[fx.Node], parts_of_arguments: dict[str, int]) -> dict[fx.Node, int]:
    bits: dict[fx.Node, int] = {}
    for node in nodes:
        own = parts_of_arguments[node.name] if node.op == "placeholder" else 0
        for source in node.all_input_nodes:
            own |= bits[source]
        bits[node] = own
    return {node: {0: 0, 1: 1, 2: 2}.get(own, 3) for node, own in bits.items()}


def _ancestors(nodes: Sequence[fx.Node]) -> set[fx.Node]:
    seen, waiting = set(nodes), list(nodes)
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return seen


class _Build:
    """Collects the nodes of one part: its own, the cheap ones that it repeats, and what it reads."""

    def __init__(self, graph: fx.GraphModule, part: int, part_of: dict[fx.Node, int], needed: set[fx.Node]) -> None:
        self.whole, self.part_index, self.part_of, self.needed = graph, part, part_of, needed
        self.inside: set[fx.Node] = set()
        self.reads: dict[fx.Node, None] = {}
        self.outputs: list[fx.Node] = []
        self.results = 0

    def add(self, outputs: list[fx.Node]) -> None:
        """More of what the part gives; the first call gives its results."""
        if not self.results:
            self.results = len(outputs)
        self.outputs += outputs
        waiting = list(outputs)
        while waiting:
            node = waiting.pop()
            if node in self.inside or node in self.reads:
                continue
            if node.op == "placeholder" or not (self.part_of[node] == self.part_index or self._repeats(node)):
                self.reads[node] = None
                continue
            self.inside.add(node)
            waiting += node.all_input_nodes

    def _repeats(self, node: fx.Node) -> bool:
        """Views and constants; and of what the step does not need itself, operations on each number by itself."""
        if node.op == "get_attr":
            return True
        op: Any = node.target
        if not isinstance(op, compat.OpOverload):
            return False
        # a view of an argument or of a kept value costs nothing
        return op.is_view or (torch.Tag.pointwise in op.tags and node not in self.needed)

    def part(self, compiler: Compiler) -> Part:
        made, copies = fx.Graph(), {}
        for node in self.reads:
            copies[node] = made.placeholder(node.name)
            copies[node].meta = dict(node.meta)
        for node in self.whole.graph.nodes:
            if node in self.inside:
                copies[node] = made.node_copy(node, copies.__getitem__)
        made.output(tuple(copies[node] for node in self.outputs))
        module = fx.GraphModule(self.whole, made)
        run = compiler(module, [node.meta["val"] for node in self.reads])
        names = tuple(node.name for node in self.reads), tuple(node.name for node in self.outputs)
        return Part(run, *names, self.results)


def capture(function: Callable[..., tuple[Tensor, ...]], arguments: Sequence[Tensor]) -> fx.GraphModule:
    """The operations of a function of tensors, without repetitions, and free of changes in place.

    Args:
        function: of tensors, to a flat tuple of tensors.
        arguments: examples; their shapes, dtypes and devices become the graph's.

    Returns:
        A graph of ATen operations.

    Raises:
        Exception: whatever capturing raises for a function that depends on its tensors' values.
    """
    graph = compat.capture(function, arguments)
    for node in list(graph.graph.nodes):
        if node.target is torch.ops.aten.convolution_backward.default:
            _one_result_each(graph, node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _one_result_each(graph: fx.GraphModule, node: fx.Node) -> None:
    """Split a convolution's backward pass in three, each of which reads only what its result depends on.

    The derivative in the input needs of the input its shape alone, and that in the weight of the weight.
    """
    mask: Any = node.args[-1]
    backward: Any = node.target
    for user in list(node.users):
        index: Any = user.args[1]
        arguments = list(node.args)
        with graph.graph.inserting_before(user):
            for i in {1, 2} - {2 if index == 0 else 1 if index == 1 else 0}:
                arguments[i] = _blank(graph, node.args[i])
            arguments[-1] = [wanted and i == index for i, wanted in enumerate(mask)]
            alone = graph.graph.call_function(backward, tuple(arguments))
            alone.meta = dict(node.meta)
            made = graph.graph.call_function(operator.getitem, (alone, index))
            made.meta = dict(user.meta)
        user.replace_all_uses_with(made)


def _blank(graph: fx.GraphModule, like: Any) -> fx.Node:
    """Zeros shaped like a node's value, as an operation without inputs."""
    value = like.meta["val"]
    made = graph.graph.call_function(
        torch.ops.aten.full.default, (list(value.shape), 0), {"dtype": value.dtype, "device": value.device}
    )
    made.meta = {"val": value}
    return made
