"""Where in the application a request goes."""

from __future__ import annotations

from starlette.types import Scope


def own_path(scope: Scope) -> str:
    """The path of a request within the application."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/")) or "/"
