"""What a user imports, and what it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hubgate


@pytest.mark.parametrize("name", hubgate.__all__)
def test_every_public_name_is_there_and_typed(name: str) -> None:
    assert callable(getattr(hubgate, name))
    assert name in _typed_names(), "mypy reads the names of the block that is for types only"
    assert Path(hubgate.__file__).with_name("py.typed").exists()


def test_a_name_that_is_none_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Hub'"):
        hubgate.Hub  # noqa: B018


def test_a_client_imports_neither_queue_nor_worker() -> None:
    code = "import sys; from hubgate import Client; print(*(m for m in sys.modules if m.startswith('new_stack.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "new_stack.client" in done.stdout
    assert not [module for module in done.stdout.split() if module.startswith(("new_stack.queue", "new_stack.worker"))]


def _typed_names() -> set[str]:
    tree = ast.parse(Path(hubgate.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname or alias.name for node in block.body for alias in node.names}  # type: ignore[attr-defined]
