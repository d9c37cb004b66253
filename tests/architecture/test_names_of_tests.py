"""Tests have the same names in every process; otherwise pytest's processes refuse to share the work."""

from __future__ import annotations

import ast

from tests.architecture.files import python_files, relative


def unordered_cases(source: str) -> list[int]:
    """Lines of ``parametrize`` whose cases hold a set of several members, named by its text."""
    return [
        call.lineno
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(".parametrize")
        if any(k.arg == "ids" and ast.unparse(k.value) in ("str", "repr") for k in call.keywords)
        if any(isinstance(node, ast.Set) and len(node.elts) > 1 for node in ast.walk(call))
    ]


def test_no_case_is_named_by_the_order_of_a_set() -> None:
    bad = {relative(p): unordered_cases(p.read_text("utf-8")) for p in python_files("tests")}
    assert {file: lines for file, lines in bad.items() if lines} == {}


def test_a_set_named_by_its_text_is_found() -> None:
    assert unordered_cases('@pytest.mark.parametrize("x", [{"a", "b"}], ids=str)\ndef test(x): ...') == [1]
    assert unordered_cases('@pytest.mark.parametrize("x", [{"a": 1, "b": 2}, {"a"}], ids=str)\ndef test(x): ...') == []
    assert unordered_cases('@pytest.mark.parametrize("x", [{"a", "b"}])\ndef test(x): ...') == []
