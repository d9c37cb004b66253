"""Pictures are made in one way, and none can fail a run: who wants one hands its function to what tells and goes on."""

from __future__ import annotations

import ast

from tests.architecture.files import CODE, python_files, relative

MADE_HERE = "platform/tonearm/core/figures.py"
ASKED_FOR = "serve/samples.py"  # a picture is the answer there, and its failure an answer, too
WRITERS = {"png", "draw_png", "spectrogram_page", "write_report", "_write_spectrograms", "figures"}
"""What fails if a picture does."""


def functions(tree: ast.AST) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def gives_figure(function: ast.FunctionDef) -> bool:
    return function.returns is not None and "Figure" in ast.unparse(function.returns)


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def test_figures_are_made_in_one_place() -> None:
    for path in python_files(*CODE):
        tree = ast.parse(path.read_text("utf-8"))
        typing_only = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for node in ast.walk(block)
        }
        found = [
            ast.unparse(node)
            for node in ast.walk(tree)
            if id(node) not in typing_only
            and (
                (isinstance(node, ast.ImportFrom) and node.module in ("matplotlib.figure", "matplotlib.pyplot"))
                or (isinstance(node, ast.Import) and any("pyplot" in alias.name for alias in node.names))
                or (isinstance(node, ast.Attribute) and node.attr in ("savefig", "log_figure"))
            )
        ]
        assert not found or relative(path) == MADE_HERE, (relative(path), found)


def test_no_picture_is_drawn_where_its_failure_would_end_a_run() -> None:
    """Figures are drawn by functions that give figures, and these, as the writers, are handed to ``best_effort``,
    ``draw_plot`` or ``publish_figure``."""
    trees = {relative(path): ast.parse(path.read_text("utf-8")) for path in python_files(*CODE)}
    plots = {f.name for tree in trees.values() for f in functions(tree) if gives_figure(f)} - {"plot", "figure"}
    assert {"confusion_plot", "sweep_plot", "learning_curves", "runs_plot", "scores_plot"} <= plots
    for name, tree in trees.items():
        if name == ASKED_FOR:
            continue
        for function in functions(tree):
            if gives_figure(function) or function.name in WRITERS:
                continue
            drawn = {called(node) for node in ast.walk(function) if isinstance(node, ast.Call)}
            assert not drawn & (plots | WRITERS), (name, function.name, drawn & (plots | WRITERS))
