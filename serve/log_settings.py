"""What Ray Serve's processes write to their logs."""

from __future__ import annotations

from typing import Any

from tonearm.core.log_lines import wants_json


def log_settings() -> dict[str, Any]:
    """Failures alone; with ``TONEARM_LOG=json`` as JSON, and a line a request, with its id, route, status and
    milliseconds. Serve's own default would be such a line as text."""
    as_json = wants_json()
    level = "INFO" if as_json else "WARNING"
    return {"encoding": "JSON" if as_json else "TEXT", "log_level": level, "enable_access_log": as_json}
