"""One solve of a step in a folder: its numbers in a file of numpy arrays, and the Python that poses it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from .call import Call
    from .solver_calls import Posed

SCRIPT = '''"""The solve of {field} at {where}, posed again: its start, times, tolerances and tensors.

    python solve.py my_model:make_field{argument}

make_field() returns the field, or my_model:field is the field itself{function_too}.
"""

import importlib
import sys
from pathlib import Path

import numpy as np
import torch
{imports}

DATA = np.load(Path(__file__).with_name("solve.npz"))


def tensors(prefix):
    """The arrays whose name begins with prefix, as tensors, in their order."""
    return {{k.removeprefix(prefix): torch.from_numpy(DATA[k].copy()) for k in DATA.files if k.startswith(prefix)}}


def named(place):
    """What module:name is."""
    module, _, name = place.partition(":")
    sys.path.insert(0, ".")
    return getattr(importlib.import_module(module), name)


def field_of(place):
    """The field, with the values that its tensors had in the step."""
    made = named(place)
    field = made if isinstance(made, torch.nn.Module) else made()
    own = {{**dict(field.named_parameters()), **dict(field.named_buffers())}}
    for name, value in tensors("tensor/").items():
        if name in own:
            own[name].data = value.to(own[name].dtype)
        else:
            print(f"{{name}} is no parameter or buffer of the field: set it by hand from DATA['tensor/{{name}}']")
    return field


HOW = dict({how})
field = field_of(sys.argv[1])
y0 = tuple(y.requires_grad_() for y in tensors("y0/").values())
t = torch.from_numpy(DATA["t"].copy())
got = {function}(field, {packed}, {times}, **HOW)
for i, (y, kept) in enumerate(zip({parts}, tensors("solution/").values())):
    print(f"solution {{i}}: largest difference from the step's own {{float((y - kept).abs().max()):.3g}}")
pairs = [(y, c) for y, c in zip({parts}, tensors("cotangent/").values()) if y.requires_grad]
if pairs:
    torch.autograd.backward(*zip(*pairs))
    for i, y in enumerate(y0):
        print(f"dL/dy0 {{i}}: largest {{0.0 if y.grad is None else float(y.grad.abs().max()):.17g}}")
    for name, p in field.named_parameters():
        print(f"dL/d {{name}}: largest {{0.0 if p.grad is None else float(p.grad.abs().max()):.17g}}")
'''


def save(call: Call, folder: str | Path) -> Path:
    """Write solve.npz and solve.py into a folder, which is made; returns the script's path.

    Args:
        call: a solve of torchdiffeq or of odecheck.
        folder: where to.

    Raises:
        ValueError: a solve of another library, or one that was not kept.
        OSError: the folder cannot be written.
    """
    posed = call.posed
    if posed.library not in ("torchdiffeq", "odecheck") or call.held is None or call.solution is None:
        raise ValueError(
            f"the solve at {call.where} cannot be saved: it is of {posed.library}.{posed.function}, or did not return; "
            "solves of torchdiffeq and odecheck can be"
        )
    arrays: dict[str, Any] = {"t": call.times.cpu().numpy()}
    for name, parts in (("y0", call.start), ("solution", call.solution), ("cotangent", call.cotangent or [])):
        arrays |= {f"{name}/{i}": x.detach().cpu().numpy() for i, x in enumerate(parts)}
    arrays |= {f"tensor/{kept.name}": kept.copy.cpu().numpy() for kept in call.held.tensors.values()}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "solve.npz", **arrays)
    script = folder / "solve.py"
    script.write_text(
        SCRIPT.format(
            field=call.field_name,
            where=call.where,
            imports="\n".join(_imports(posed)),
            function=posed.function,
            how=", ".join(f"{k}={v}" for k, v in (_plain(posed.others) | _of_the_event(posed)).items()),
            packed="y0" if posed.many else "y0[0]",
            times="t[0]" if posed.function == "odeint_event" else "t",
            parts=_parts(posed),
            argument=" my_model:event_fn" if posed.event else "",
            function_too="; event_fn is the event function" if posed.event else "",
        )
    )
    return script


def _interface(posed: Posed) -> Any:
    """The function that torchdiffeq's odeint_event was told to solve by, or None."""
    return posed.others.get("odeint_interface")


def _imports(posed: Posed) -> list[str]:
    wanted = [(posed.library, posed.function)]
    if (interface := _interface(posed)) is not None:
        wanted.append((interface.__module__.partition(".")[0], interface.__name__))
    return [f"from {library} import {name}" for library, name in sorted(wanted)]


def _of_the_event(posed: Posed) -> dict[str, str]:
    """The arguments of a solve to an event that are functions: the event function is the script's second argument."""
    out = {"event_fn": "named(sys.argv[2])"} if posed.event else {}
    if (interface := _interface(posed)) is not None:
        out["odeint_interface"] = interface.__name__
    return out


def _parts(posed: Posed) -> str:
    """What the solve gave as a tuple of tensors, the time of an event last."""
    if posed.event:
        return "(*got[1], got[0])" if posed.many else "(got[1], got[0])"
    return "got" if posed.many else "(got,)"


def _plain(options: dict[str, Any]) -> dict[str, str]:
    """Options that can be written down, as Python; of a dict those of its entries. What cannot is left out."""
    out: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, torch.Tensor) and not value.requires_grad:
            out[name] = f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
        elif isinstance(value, dict):
            out[name] = "dict(" + ", ".join(f"{k}={v}" for k, v in _plain(value).items()) + ")"
        elif isinstance(value, (int, float, str, bool)) or value is None:
            out[name] = repr(value)
    return out
