"""The sizes that CONTRIBUTING promises."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for package in ("pipeline", "services", "traboule", "infra")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stat().st_size and "migrations" not in path.parts
]


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def functions() -> dict[str, int]:
    found = {}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                found[name] = (node.end_lineno or node.lineno) - node.lineno + 1
    return found


def test_files_are_short() -> None:
    sizes = {str(path.relative_to(ROOT)): lines_of(path) for path in CODE}
    assert {name: size for name, size in sizes.items() if size > 300} == {}
    assert median(sizes.values()) <= 120


def test_functions_are_short() -> None:
    sizes = functions()
    assert {name: size for name, size in sizes.items() if size > 40} == {}
    assert median(sizes.values()) <= 10


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in CODE
        if ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []
