"""Mutants of odecheck's own source: one term, sign, index, argument or number changed at a time.

The families are those of the mistakes that are made in such code. Packages for mutation testing change conditions and
strings as well, run a test suite for each mutant, and know no change of 1e-6 or to float32; here the claims judge.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from . import rooms
from .rooms import ROOT

SCALE = 1 + 1e-6
# helpers put into a mutated module; they change floating-point tensors, and nothing else
ROUND, SCALED = "_odecheck_float32", "_odecheck_scaled"
CLOCKS = ("t", "clock")
# functions whose result is the same, or that only keep what they are given
UNHURT = ("len", "zip", "isinstance", "save_for_backward", "save_for_forward", "range", "max", "min")


@dataclass(frozen=True)
class SourceMutant:
    """One change of one expression.

    `place` is the index of its node in the module's syntax tree, `variant` which of the changes of its family it is.
    """

    module: str
    function: str
    line: int
    place: int
    variant: int
    family: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """Stays the same when lines move."""
        return f"{self.module.removeprefix('odecheck.')}.{self.function}: {self.before} -> {self.after}"

    @property
    def file(self) -> str:
        return str(path_of(self.module))


def path_of(module: str) -> Path:
    """The file of a module of odecheck."""
    parts = module.split(".")[1:]
    folder = ROOT.joinpath(*parts)
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def modules(chosen: Iterable[str] | None = None) -> list[str]:
    """The modules of these rooms; of all that may be mutated, where none are given."""
    return [module for room in (rooms.mutable() if chosen is None else chosen) for module in rooms.modules(room)]


# --- the families: node → the expressions that take its place ----------------------------------------------------


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _binary(left: ast.expr, operator: ast.operator, right: ast.expr) -> ast.BinOp:
    return ast.BinOp(left, operator, right)


def _number(product: ast.BinOp) -> bool:
    """Not a list or text that is repeated."""
    return not any(isinstance(x, ast.List | ast.Tuple | ast.JoinedStr) for x in (product.left, product.right))


def _named(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _signs(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left, ast.Add(), right):
            yield _binary(left, ast.Sub(), right)
        case ast.BinOp(left, ast.Sub(), right):
            yield _binary(left, ast.Add(), right)
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield operand
        case _:
            pass


def _dropped(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub(), _):
            yield left
        case ast.BinOp(left, ast.Mult(), right) if _number(node):
            yield left
            yield right
        case _:
            pass


def _doubled(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield _binary(node.left, node.op, _binary(ast.Constant(2), ast.Mult(), node.right))


def _scaled(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.MatMult) and _number(node):
        yield _call(SCALED, node)


def _precision(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.MatMult) and _number(node):
        yield _call(ROUND, node)


def _transposed(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Attribute(value, "T" | "mT"):
            yield value
        case ast.BinOp(left, ast.MatMult(), right):
            yield _binary(right, ast.MatMult(), left)
        case ast.Call(ast.Attribute(value, "transpose" | "movedim" | "permute")):
            yield value
        case _:
            pass


def _wrong_time(node: ast.expr) -> Iterator[ast.expr]:
    if not isinstance(node, ast.Call) or _named(node) in UNHURT:
        return
    for i, argument in enumerate(node.args):
        if isinstance(argument, ast.Name) and argument.id in CLOCKS:
            still = _binary(ast.Constant(0), ast.Mult(), argument)
            yield ast.Call(node.func, [*node.args[:i], still, *node.args[i + 1 :]], node.keywords)


def _wrong_index(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Subscript(value, ast.Constant(int(index))):
            yield ast.Subscript(value, ast.Constant(-1 if index == 0 else index - 1), ast.Load())
        case ast.Subscript(value, ast.UnaryOp(ast.USub(), ast.Constant(1))):
            yield ast.Subscript(value, ast.Constant(0), ast.Load())
        case ast.Subscript(value, ast.Slice(ast.Constant(1), None, None)):
            yield ast.Subscript(value, ast.Slice(None, ast.Constant(-1)), ast.Load())
        case ast.Subscript(value, ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(1)), None)):
            yield ast.Subscript(value, ast.Slice(ast.Constant(1), None), ast.Load())
        case _:
            pass


def _swapped(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Call(function, [ast.Name() as first, ast.Name() as second, *rest], keywords) if (
            _named(node) not in UNHURT
        ):
            yield ast.Call(function, [second, first, *rest], keywords)
        case _:
            pass


FAMILIES: dict[str, Callable[[ast.expr], Iterator[ast.expr]]] = {
    "sign": _signs,
    "dropped term": _dropped,
    "doubled term": _doubled,
    "scale 1 + 1e-6": _scaled,
    "float32": _precision,
    "transpose": _transposed,
    "wrong time": _wrong_time,
    "wrong index": _wrong_index,
    "swapped arguments": _swapped,
}
STALE = "stale state"


# --- finding and making them -------------------------------------------------------------------------------------


def mutants(module: str) -> list[SourceMutant]:
    """All mutants of a module, in the order of its text."""
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    places = {id(node): place for place, node in enumerate(ast.walk(tree))}
    found: dict[str, SourceMutant] = {}
    for function, node in _numeric(tree, ""):
        changes = [(name, change) for name, family in FAMILIES.items() for change in _of(family, node)]
        if isinstance(node, ast.stmt):
            changes = [(STALE, ast.Pass())]
        for variant, (family, change) in enumerate(changes):
            mutant = SourceMutant(
                module,
                function,
                getattr(node, "lineno", 0),
                places[id(node)],
                variant,
                family,
                ast.unparse(node),
                ast.unparse(ast.fix_missing_locations(change)),
            )
            found.setdefault(mutant.key, mutant)
    return list(found.values())


def _of(family: Callable[[ast.expr], Iterator[ast.expr]], node: ast.AST) -> list[ast.expr]:
    return list(family(node)) if isinstance(node, ast.expr) else []


def _numeric(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Expressions that compute, and the assignments that renew a loop's state, each with the function it is in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise | ast.Assert | ast.JoinedStr | ast.arguments | ast.Import | ast.ImportFrom):
            continue
        inside = function
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inside = f"{function}.{child.name}" if function else child.name
        if isinstance(child, ast.AnnAssign):
            children: list[ast.AST] = [child.value] if child.value else []
        else:
            children = [child]
        for one in children:
            if isinstance(one, ast.expr) and function:
                yield inside, one
            if isinstance(one, ast.For | ast.While):
                yield from ((inside, s) for s in one.body if _renews(s, node))
            if not isinstance(one, ast.FunctionDef):
                yield from _numeric(one, inside)
            else:  # neither decorators nor annotations
                for statement in one.body:
                    yield from _numeric(ast.Module([statement], []), inside)


def _renews(statement: ast.stmt, around: ast.AST) -> bool:
    """Whether a statement in a loop gives a new value to a name that was set before the loop."""
    if isinstance(statement, ast.AugAssign):
        return True
    if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
        return False
    name = statement.targets[0].id
    before = [s for s in getattr(around, "body", []) if s.lineno < statement.lineno]
    return any(
        isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id == name
        for s in before
        if not isinstance(s, ast.For | ast.While)
        for n in ast.walk(s)
    )


def mutated(mutant: SourceMutant) -> ast.Module:
    """The module's syntax tree with the one change."""
    tree = ast.parse(path_of(mutant.module).read_text(encoding="utf-8"))
    node = next(node for place, node in enumerate(ast.walk(tree)) if place == mutant.place)
    if mutant.family == STALE:
        new: ast.AST = ast.Pass()
    else:
        new = [change for family in FAMILIES.values() for change in _of(family, node)][mutant.variant]
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, new)
                return ast.fix_missing_locations(tree)
            items = cast(list[Any], value) if isinstance(value, list) else []
            if any(item is node for item in items):
                items[next(i for i, item in enumerate(items) if item is node)] = new
                return ast.fix_missing_locations(tree)
    raise LookupError(f"{mutant.key} is not in {mutant.module} any more")
