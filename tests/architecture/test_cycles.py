"""No circle of imports: neither between modules, those inside functions included, nor between packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from tests.architecture.files import CODE, module_name, python_files


def runtime_imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement below a node, but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for statement in child.orelse:
                yield from runtime_imports(ast.Module([statement], []))
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from runtime_imports(child)


def imported_modules(source: str, known: set[str]) -> set[str]:
    """Those of the known modules that a source imports; ``from package import module`` imports the module."""
    found: set[str] = set()
    for node in runtime_imports(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else node.module for name in full}
    return found & known


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Module to the modules that it imports."""
    return {module: imported_modules(source, set(sources)) - {module} for module, source in sources.items()}


def package_graph(modules: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The same between packages: ``tonearm.core``, ``jobs``."""

    def package(module: str) -> str:
        return ".".join(module.split(".")[: 2 if module.startswith("tonearm.") else 1])

    graph: dict[str, set[str]] = {}
    for module, imported in modules.items():
        graph.setdefault(package(module), set()).update(package(i) for i in imported)
    return {name: imported - {name} for name, imported in graph.items()}


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle, in order; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def code() -> dict[str, str]:
    return {module_name(p): p.read_text("utf-8") for p in python_files(*CODE)}


def test_a_circle_is_found_also_inside_functions() -> None:
    lazy = {"a": "import b", "b": "def f():\n    if True:\n        from a import x"}
    assert set(cycle(import_graph(lazy))) == {"a", "b"}
    assert set(cycle(import_graph({"p": "from p.m import f", "p.m": "from p import g"}))) == {"p", "p.m"}
    assert set(cycle(import_graph({"p": "", "p.a": "from p import b", "p.b": "import p.a"}))) == {"p.a", "p.b"}


def test_imports_of_types_alone_and_straight_lines_are_no_circle() -> None:
    typed = {"a": "import b", "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n"}
    assert cycle(import_graph(typed)) == []
    assert cycle(import_graph({"a": "import b, c", "b": "import c", "c": "import os"})) == []


def test_a_circle_of_packages_is_found_where_the_modules_have_none() -> None:
    sources = {"tonearm.x.a": "import tonearm.y.a", "tonearm.y.a": "", "tonearm.y.b": "import tonearm.x.a"}
    modules = import_graph(sources)
    assert cycle(modules) == []
    assert set(cycle(package_graph(modules))) == {"tonearm.x", "tonearm.y"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = import_graph(code())
    assert sum(map(len, graph.values())) > len(graph)  # it does see the imports
    assert cycle(graph) == []


def test_no_package_imports_itself_by_way_of_others() -> None:
    assert cycle(package_graph(import_graph(code()))) == []
