"""Every name of torch and torchdiffeq that their documentation does not promise, and that odecheck needs all the same.

The names of the table are used here and nowhere else; a new version of either library is tried by running the tests,
and then written below and as a ceiling into pyproject.toml. Tried with torch 2.13.0 and torchdiffeq 0.2.5.

| name | why | here |
|---|---|---|
| `torch._C._functorch.peek_interpreter_stack` | whether a transform of torch.func is active | `interpreter` |
| `torch._C._functorch.is_functorch_wrapped_tensor` | whether a transform has wrapped a tensor | `is_wrapped` |
| `torch._C._functorch.get_unwrapped` | the tensor that a transform has wrapped | `unwrapped` |
| `torch._C._functorch.is_batchedtensor` | whether vmap hides a batch in a tensor | `is_batched` |
| `torch._C._functorch.maybe_get_level` | which vmap that is | `level_of` |
| `torch._C._current_graph_task_id` | which call of backward() is on, −1 outside of any | `backward_pass` |
| `torch._C._current_autograd_node` | which node of the graph is differentiated | `autograd_node` |
| `torch.autograd.forward_ad._current_level` | whether forward mode is on | `is_forward_mode` |
| `torch.autograd.forward_ad._set_fwd_grad_enabled` | forward mode on or off in a block | `forward_mode` |
| `torch.utils._python_dispatch.TorchDispatchMode` | to see every tensor that is made | `TorchDispatchMode` |
| `torch.utils._pytree.tree_map` | nested arguments, as torch nests them | `tree_map` |
| `torch.utils._pytree.tree_leaves` | nested results, as torch nests them | `tree_leaves` |
| `torch.multiprocessing.reductions.StorageWeakRef` | whether a storage is still alive | `StorageWeakRef` |
| `torch._C._len_torch_function_stack` | how many modes are on that see every function | `pushed_modes` |
| `torch._C._len_torch_dispatch_stack` | how many are on that see every operation | `pushed_modes` |
| `torch.overrides._pop_mode` | to end one that was left on | `pop_modes` |
| `torch.utils._python_dispatch._pop_mode` | the same of the other kind | `pop_modes` |
| `torch._dynamo.reset` | to forget what was compiled | `compiling` |
| `torch._functorch.config` | not to donate buffers that a second backward pass needs | `compiling` |
| `torch._ops.OpOverload` | an operation of a graph: whether it is a view, acts on each number, draws | `OpOverload` |
| `torch._functorch.compile_utils.fx_graph_cse` | a graph without repetitions | `capture` |
| `torch._inductor.decomposition.select_decomp_table` | which operations a compiler wants split | `capture` |
| `torch._inductor.compile_fx.compile_fx_inner` | to compile such a graph, cached on disk | `compiled_graph` |
| `_forward_pre_hooks` of a module | what is called before it: spectral norm of the old kind | `hooks_before` |
| `_torchdynamo_orig_callable` of a function | what a compiled function compiles | `uncompiled` |
| `torch._foreach_add` | to add two lists of tensors in one call | `added` |
| `torch._foreach_copy_` | to copy a list of tensors in one call | `copy_all` |
| `_parameters` of a module | those of its own, to look at or to swap, without a copy | `own_parameters` |
| `_buffers` of a module | the same of its buffers | `own_buffers` |
| `_reversed_padding_repeated_twice` of a convolution | how it pads where "same" is asked for | `padding` |
"""

# these names are private, and most of them have no types
# pyright: reportPrivateUsage=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch._ops import OpOverload
from torch.autograd import forward_ad
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import _pop_mode as _pop_function_mode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._python_dispatch import _pop_mode as _pop_dispatch_mode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = [
    "TRIED",
    "OpOverload",
    "StorageWeakRef",
    "TorchDispatchMode",
    "added",
    "autograd_node",
    "backward_pass",
    "capture",
    "compiled_graph",
    "compiling",
    "compiling_nothing",
    "copy_all",
    "forward_mode",
    "hooks_before",
    "interpreter",
    "is_batched",
    "is_forward_mode",
    "is_transforming",
    "is_wrapped",
    "level_of",
    "own_buffers",
    "own_parameters",
    "padding",
    "physical",
    "pop_modes",
    "pushed_modes",
    "tree_leaves",
    "tree_map",
    "uncompiled",
    "unwrapped",
]

# what torch imports when forward mode is first used: it takes a second, and changes warnings and the environment
OF_FORWARD_MODE = "torch._dynamo"
TRIED = {"torch": ("2.13.0",), "torchdiffeq": ("0.2.5",)}
"""Package → the versions that the whole test suite was run with. pyproject.toml ends at the minor version after."""

# the functions themselves and no wrappers: some are asked at every evaluation of a field
interpreter = _functorch.peek_interpreter_stack
is_wrapped = _functorch.is_functorch_wrapped_tensor
unwrapped = _functorch.get_unwrapped
is_batched = _functorch.is_batchedtensor
level_of = _functorch.maybe_get_level
backward_pass = torch._C._current_graph_task_id
autograd_node = torch._C._current_autograd_node
forward_mode = forward_ad._set_fwd_grad_enabled


def is_transforming() -> bool:
    """Whether a transform of torch.func is active.

    Returns:
        True inside of vmap, grad, jvp and the like.
    """
    return interpreter() is not None


def is_forward_mode() -> bool:
    """Whether a level of forward-mode differentiation is open.

    Returns:
        True inside of `forward_ad.dual_level()` and torch.func.jvp.
    """
    return forward_ad._current_level >= 0


def physical(x: torch.Tensor) -> torch.Tensor:
    """The tensor that torch.func's transforms have wrapped.

    Args:
        x: A tensor, wrapped or not.

    Returns:
        The tensor inside, with the batch that vmap hides; x itself if nothing has wrapped it.
    """
    while is_wrapped(x):
        x = unwrapped(x)
    return x


def added(a: list[torch.Tensor], b: list[torch.Tensor]) -> list[torch.Tensor]:
    """Two lists of tensors, added entry by entry.

    Args:
        a: Any tensors.
        b: As many, of the same shapes.

    Returns:
        The sums.
    """
    return list(torch._foreach_add(a, b))  # pyright: ignore[reportPrivateImportUsage, reportCallIssue, reportArgumentType, reportUnknownArgumentType]


def copy_all(into: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    """Copy a list of tensors, with few launches on a GPU.

    Args:
        into: Any tensors; what they held is written over.
        values: As many, of the same shapes.
    """
    torch._foreach_copy_(into, values)  # pyright: ignore[reportPrivateImportUsage]


def own_parameters(module: nn.Module) -> dict[str, nn.Parameter | None]:
    """The parameters of a module itself, without those of the modules in it.

    Args:
        module: Any module.

    Returns:
        Name → parameter: what the module looks into, not a copy.
    """
    return module._parameters


def uncompiled(function: Any) -> Any:
    """What `torch.compile` has made a function of.

    Args:
        function: Anything.

    Returns:
        The function that was compiled; anything else as it came.
    """
    return function._torchdynamo_orig_callable if hasattr(function, "_torchdynamo_orig_callable") else function


def hooks_before(module: nn.Module) -> list[Any]:
    """The hooks that are called before a module.

    Args:
        module: Any module.

    Returns:
        The hooks, in their order.
    """
    hooks: Any = module._forward_pre_hooks
    return list(hooks.values())


def own_buffers(module: nn.Module) -> dict[str, torch.Tensor | None]:
    """The buffers of a module itself, without those of the modules in it.

    Args:
        module: Any module.

    Returns:
        Name → buffer: what the module looks into, not a copy.
    """
    return module._buffers


def padding(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> list[int]:
    """The padding of a convolution.

    Args:
        layer: Whose padding is a number or "same".

    Returns:
        Two numbers for each axis, the last axis first, as `torch.nn.functional.pad` takes them.
    """
    return layer._reversed_padding_repeated_twice


def pushed_modes() -> tuple[int, int]:
    """How many modes are on that see what torch does.

    Returns:
        Of those that see functions, and of those that see operations.
    """
    return torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()


def pop_modes(left: tuple[int, int]) -> None:
    """End modes that were left on, the last one first.

    Args:
        left: How many of each kind stay, as `pushed_modes` counts them.
    """
    while pushed_modes()[0] > left[0]:
        _pop_function_mode()
    while pushed_modes()[1] > left[1]:
        _pop_dispatch_mode()


@contextmanager
def compiling() -> Generator[None]:
    """Around everything that a compiled field does, its compilation included.

    What was compiled before is forgotten: after eight modules of one class torch would silently run the ninth as it is.
    Buffers are not donated: torchdiffeq's adjoint asks for derivatives with `retain_graph`, which they forbid.

    Yields:
        Nothing; the settings end with the block.
    """
    import torch._dynamo as dynamo
    import torch._functorch.config as config

    settings: Any = config
    dynamo.reset()
    with settings.patch(**({"donated_buffer": False} if hasattr(settings, "donated_buffer") else {})):
        yield


def compiling_nothing() -> AbstractContextManager[Any]:
    """For a block: what is compiled is called where it fits, and nothing anew; torch's limit of times is the user's.

    Returns:
        A context manager; one that does nothing where nobody has compiled, or torch cannot be told.
    """
    stance = getattr(torch.compiler, "set_stance", None)
    return stance("eager_on_recompile") if stance is not None and "torch._dynamo" in sys.modules else nullcontext()


def capture(function: Callable[..., Any], arguments: Sequence[torch.Tensor]) -> torch.fx.GraphModule:
    """The operations of a function of tensors as a graph, without repetitions and without changes in place.

    Args:
        function: Of tensors, to a flat tuple of tensors.
        arguments: Examples, whose shapes, dtypes and devices become the graph's.

    Returns:
        A graph of ATen operations; `meta["val"]` of each node describes its value.
    """
    from torch._functorch.compile_utils import fx_graph_cse
    from torch._inductor.decomposition import select_decomp_table
    from torch.fx.experimental.proxy_tensor import make_fx

    trace = make_fx(
        torch.func.functionalize(function),
        decomposition_table=select_decomp_table(),
        tracing_mode="fake",
        _allow_non_fake_inputs=True,
    )
    made = trace(*arguments)
    copies = (torch.ops.aten.alias.default, torch.ops.aten.detach.default)
    for node in list(made.graph.nodes):
        if node.op == "call_function" and node.target in copies:
            node.replace_all_uses_with(node.args[0])
            made.graph.erase_node(node)
    made.graph = fx_graph_cse(made.graph)
    made.graph.eliminate_dead_code()
    made.recompile()
    return made


def compiled_graph(graph: torch.fx.GraphModule, examples: list[Any]) -> Callable[[list[torch.Tensor]], Any]:
    """A graph of ATen operations, compiled by Inductor; its cache on disk serves later processes.

    Args:
        graph: As `capture` makes it.
        examples: What it reads, fake tensors.

    Returns:
        A function of a list of tensors, which it may empty.
    """
    from torch._inductor.compile_fx import compile_fx_inner

    # the parts hand their values on: they keep the strides that they were captured with
    output = next(iter(reversed(graph.graph.nodes)))
    output.meta["user_visible_output_idxs"] = list(range(len(output.args[0])))
    return compile_fx_inner(graph, examples, layout_opt=False)
