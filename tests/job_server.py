"""A small server that speaks Ray's job API, and fails as it is told to: no cluster breaks at a given moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RAY_FAILED = {"status": "FAILED", "message": "Unexpected error occurred: failed to get job supervisor.",
              "error_type": "JOB_SUPERVISOR_ACTOR_START_FAILURE"}  # fmt: skip
"""What Ray says of a job whose driver was lost with its head."""


def ended(code: int) -> dict[str, Any]:
    """What Ray says of a job that ended with an exit code."""
    if code == 0:
        return {"status": "SUCCEEDED", "driver_exit_code": 0}
    return {"status": "FAILED", "driver_exit_code": code, "error_type": "JOB_ENTRYPOINT_COMMAND_ERROR",
            "message": "Job entrypoint command failed, last available logs:\nmany lines"}  # fmt: skip


@dataclass
class FakeCluster:
    """Jobs, and what is wrong with the head.

    Attributes
    ----------
    script
        What becomes of the jobs that are sent, in their order: what each looks prints, and how it ends.
    jobs
        As Ray lists them, by submission id.
    drops
        How many of the next requests about a job are cut off without an answer.
    lose_answer
        Whether the next job that is sent is taken, and the answer lost.
    status
        Of all answers, if it is not 200.
    serves
        What its Serve was told to run, each time.
    serving
        What becomes of the application ``tonearm``, at each look, the last for ever.
    """

    script: list[tuple[list[str], dict[str, Any]]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    ray_version: str = "2.60.0"
    python_version: str = "3.11.7"
    drops: int = 0
    lose_answer: bool = False
    status: int = 200
    url: str = ""
    serves: list[dict[str, Any]] = field(default_factory=list)
    serving: list[dict[str, str]] = field(default_factory=list)

    def submit(self, request: dict[str, Any]) -> str:
        job = request["submission_id"]
        printed, end = self.script.pop(0) if self.script else (["done\n"], ended(0))
        self.sent.append(request)
        self.jobs[job] = {"type": "SUBMISSION", "submission_id": job, "status": "RUNNING", "end": end,
                          "entrypoint": request["entrypoint"], "start_time": 1_000_000 + len(self.sent)}  # fmt: skip
        self.logs[job] = list(printed)
        return str(job)

    def details(self, job: str) -> dict[str, Any]:
        return {k: v for k, v in self.jobs[job].items() if k != "end"}

    def printed(self, job: str) -> str:
        """The output, which has grown by one part at each look; after the last one the job has ended."""
        parts, known = self.logs[job], self.jobs[job]
        known["looks"] = min(known.get("looks", 0) + 1, len(parts))
        if known["looks"] == len(parts) and known["status"] == "RUNNING":
            known.update(known["end"], end_time=2_000_000)
        return "".join(parts[: known["looks"]])


class _Handler(BaseHTTPRequestHandler):
    cluster: FakeCluster

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _answer(self, body: Any, status: int = 200) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _handle(self) -> None:
        cluster, path = self.cluster, self.path.rstrip("/")
        request = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        job = path.split("/")[3] if path.startswith("/api/jobs/") else ""
        if cluster.lose_answer and path == "/api/jobs" and self.command == "POST":
            cluster.lose_answer = False
            cluster.submit(json.loads(request))
            self.close_connection = True
        elif cluster.drops and job:
            cluster.drops -= 1
            self.close_connection = True
        elif cluster.status != 200:
            self._answer("no", cluster.status)
        elif path == "/api/version":
            self._answer({"version": "4", "ray_version": cluster.ray_version, "ray_commit": "x", "session_name": "s"})
        elif path == "/api/v0/cluster_metadata":
            self._answer({"result": True, "data": {"pythonVersion": cluster.python_version}})
        elif path == "/api/serve/applications" and self.command == "PUT":
            cluster.serves.append(json.loads(request))
            self._answer("" if cluster.serving else "ValidationError: no", 200 if cluster.serving else 400)
        elif path == "/api/serve/applications":
            found = cluster.serving.pop(0) if len(cluster.serving) > 1 else cluster.serving[0]
            self._answer({"applications": {"tonearm": found} if found else {}})
        elif path.startswith("/nodes"):
            self._answer({"data": {"summary": [{"raylet": {"nodeId": "ff00", "isHeadNode": True}}]}})
        elif path == "/api/jobs" and self.command == "POST":
            asked = json.loads(request)
            if asked["submission_id"] in cluster.jobs:
                self._answer(f"ValueError: Job with submission_id {asked['submission_id']} already exists.", 500)
            else:
                self._answer({"job_id": "1", "submission_id": cluster.submit(asked)})
        elif path == "/api/jobs":
            self._answer([cluster.details(name) for name in cluster.jobs])
        elif job and job not in cluster.jobs:
            self._answer(f"Job {job} does not exist", 404)
        elif path.endswith("/logs"):
            self._answer({"logs": cluster.printed(job)})
        elif path.endswith("/stop"):
            cluster.jobs[job].update(status="STOPPED", end_time=2_000_000)
            self._answer({"stopped": True})
        elif job:
            self._answer(cluster.details(job))
        else:  # a package of the runtime environment, which is there
            self._answer("")

    do_GET = do_POST = do_PUT = _handle  # noqa: N815  http.server's names


@contextmanager
def fake_cluster() -> Iterator[FakeCluster]:
    """A head on a port of its own, for as long as the context lasts."""
    cluster = FakeCluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": cluster}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
