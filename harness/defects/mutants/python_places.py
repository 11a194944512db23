"""Where a Python file can be changed: cosmic-ray's operators, one occurrence at a time.

Left out, because no run could tell them from the original: annotations (they are not evaluated), what stands under
`if TYPE_CHECKING`; the options of a class and of a decorator (`frozen`, `kw_only`), the `*` of a signature, `strict`
and `assert`, which only forbid what the code does not do; what is written to the log; and named amounts
(`LIMIT: Final = 1_000`, the defaults of settings): how large a page, a buffer or a pause is.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from cosmic_ray.ast import get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from harness.defects.mutants.mutant import Place, other_numbers

NUMBER: Final = "NumberReplacer"
LOGS: Final = frozenset({"log", "_log"})
"""How whoever logs calls the log."""
OPERATORS: Final = (
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_Mod_Add",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "ReplaceBinaryOperator_BitOr_BitAnd",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_Gt",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_GtE",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_Lt",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_LtE",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    NUMBER,
    "ZeroIterationForLoop",
)
"""One or two replacements for each kind of expression; the library has more of the same kind."""

Span = tuple[tuple[int, int], tuple[int, int]]
Way = tuple[str, Callable[[], str]]


def python_places(file: str, text: str) -> list[Place]:
    """Every place of a file, in its order."""
    unseen, dotted = _unseen(file, text), _dotted_exceptions(text)
    ways: dict[Span, list[Way]] = defaultdict(list)
    tree = list(_nodes(get_ast(text)))
    for name in OPERATORS:
        operator: Any = get_operator(f"core/{name}")()
        spans = [span for node in tree for span in operator.mutation_positions(node)]
        hidden = unseen + dotted if name == "ExceptionReplacer" else unseen
        for occurrence, span in enumerate(spans):
            if any(_inside(span, one) for one in hidden):
                continue
            if name == NUMBER:  # found twice, as the library has two replacements
                ways[span] = ways[span] or _numbers(text, span)
            else:
                ways[span].append((name, partial(_mutated, text, name, occurrence)))
    return [Place(file=file, line=span[0][0], ways=tuple(found)) for span, found in sorted(ways.items()) if found]


def _numbers(text: str, span: Span) -> list[Way]:
    """The ways to change the number that stands there."""
    (line, begin), (_, end) = span
    lines = text.splitlines(keepends=True)
    before, after = lines[line - 1][:begin], lines[line - 1][end:]

    def with_number(new: str) -> str:
        return "".join([*lines[: line - 1], before + new + after, *lines[line:]])

    number = lines[line - 1][begin:end].replace("_", "")
    return [(name, partial(with_number, new)) for name, new in other_numbers(number)]


def _mutated(text: str, operator: str, occurrence: int) -> str:
    changed: str | None = mutate_code(text, get_operator(f"core/{operator}")(), occurrence)
    if changed is None:
        raise AssertionError(f"{operator} has no occurrence {occurrence}")
    return changed


def _nodes(node: Any) -> Iterator[Any]:
    """The tree in the order in which the library's visitor counts occurrences."""
    yield node
    for child in getattr(node, "children", ()):
        yield from _nodes(child)


def _dotted_exceptions(text: str) -> list[Span]:
    """Handlers of `module.Error`: the library fails at replacing such a name."""
    handlers = [node.type for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ExceptHandler) and node.type]
    return _spans(node for handler in handlers for node in ast.walk(handler) if isinstance(node, ast.Attribute))


def _unseen(file: str, text: str) -> list[Span]:
    """What no run could tell from the original, as the module's docstring says."""
    tree = ast.parse(text)
    found = [*_unevaluated(tree), *_amounts(tree, settings=Path(file).name == "settings.py")]
    return _spans([*found, *(node for node in ast.walk(tree) if _only_forbids_or_tells(node))]) + list(_stars(tree))


def _stars(tree: ast.Module) -> Iterator[Span]:
    """The bare `*` of each signature, which the library takes for a product: it only forbids what nobody does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.kwonlyargs and not node.args.vararg:
            before: list[ast.arg | ast.expr] = [*node.args.posonlyargs, *node.args.args, *node.args.defaults]
            ends = [(one.end_lineno or 0, one.end_col_offset or 0) for one in before]
            first = node.args.kwonlyargs[0]
            yield max(ends, default=(node.lineno, node.col_offset)), (first.lineno, first.col_offset)


def _only_forbids_or_tells(node: ast.AST) -> bool:
    is_log = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _name(node.func.value) in LOGS
    return is_log or isinstance(node, ast.Assert) or (isinstance(node, ast.keyword) and node.arg == "strict")


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _amounts(tree: ast.Module, *, settings: bool) -> Iterator[ast.AST]:
    """The values of named amounts: of constants, and of settings where nothing is set."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            is_number = all(isinstance(part, _ARITHMETIC) for part in ast.walk(node.value))
            if is_number and (node.target.id.strip("_").isupper() or settings):
                yield node.value


_ARITHMETIC: Final = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)


def _unevaluated(tree: ast.Module) -> list[ast.AST]:
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            found.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            arguments += [one for one in (node.args.vararg, node.args.kwarg) if one]
            found += [one.annotation for one in arguments if one.annotation]
            found += [node.returns] if node.returns else []
            found += _options(node.decorator_list)
        elif isinstance(node, ast.ClassDef):
            found += [option.value for option in node.keywords] + _options(node.decorator_list)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found.append(node)
    return found


def _options(decorators: Iterable[ast.expr]) -> list[ast.AST]:
    return [option.value for one in decorators if isinstance(one, ast.Call) for option in one.keywords]


def _spans(nodes: Iterable[Any]) -> list[Span]:
    return [((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)) for node in nodes]


def _inside(span: Span, hidden: Span) -> bool:
    return hidden[0] <= span[0] and span[1] <= hidden[1]
