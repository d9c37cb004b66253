"""infra/ holds no secret and no default password: each comes from a Secret, a file or a variable that must be given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.files import ROOT, python_files, relative, repository_files

SECRET = re.compile(r"pass(word|wd|phrase)?$|secret|token$|(access|private|api|session)[_-]?key$", re.IGNORECASE)
POINTS = re.compile(r"(_FILE|_PATH|Name|Ref)$")  # such a field says where the secret is
GIVEN = re.compile(r"\$\{\w+:\?[^}]+\}|\$\w+|~?/[\w./-]+|%s")  # a path says where, too
PLAIN = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    re.compile(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"://[^\s/:@]+:(?![$%<{])[^\s/@]+@"),  # a URI with a password
    re.compile(
        r"--?[\w.-]*(passw(or)?d|secret[_-]?key|token|requirepass)[= ]+(?![\"']?[$%/<{]|(?-i:[A-Z]+\b))[^\s\"'-]",
        re.IGNORECASE,
    ),
)
ASSIGNED = re.compile(r"^\s*(?:export |ENV |ARG |-e )?[\"']?([A-Za-z_][\w.-]*)[\"']?\s*[:=]\s*[\"']?([^\s\"'#;,]+)")


def scalars(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Texts of a document with the names of their fields; of ``{name: X, value: y}`` the name is X."""
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and "value" in value:
            yield value["name"], str(value["value"])
        for key, inner in value.items():
            yield from scalars(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, str) and re.match(r"\w+=", inner):  # compose's other way to write the environment
                yield tuple(inner.split("=", 1))  # type: ignore[misc]
            yield from scalars(inner, name if isinstance(inner, str) else "")
    elif isinstance(value, str):
        yield name, value


def found(text: str, suffix: str) -> list[str]:
    """What of a file is a secret, a line or a field each."""
    bad = [line.strip() for line in text.splitlines() if any(pattern.search(line) for pattern in PLAIN)]
    if suffix in (".yaml", ".yml", ".json"):
        pairs = [pair for document in yaml.safe_load_all(text) for pair in scalars(document)]
    elif suffix in ("", ".ini", ".conf", ".sh", ".env", ".sql", ".service"):
        pairs = [(m[1], m[2]) for m in map(ASSIGNED.match, text.splitlines()) if m]
    else:
        pairs = []
    return bad + [
        f"{name} = {value}"
        for name, value in pairs
        if SECRET.search(name) and not POINTS.search(name) and not GIVEN.fullmatch(value.strip())
        if (name, value) not in WORDS
    ]


#: Fields that sound like secrets and are none.
WORDS = {("secrets", "ray_token"), ("secrets", "postgres_password"), ("secrets", "grafana_password")}


def files() -> list[Path]:
    return [p for p in repository_files() if p.is_relative_to(ROOT / "infra")]


def test_infra_holds_no_secret() -> None:
    assert len(files()) > 15
    bad = {relative(p): found(p.read_text("utf-8"), p.suffix) for p in files() if p.suffix != ".py"}
    assert {file: lines for file, lines in bad.items() if lines} == {}
    python = {relative(p): [x for x in PLAIN if x.search(p.read_text("utf-8"))] for p in python_files("infra")}
    assert {file: lines for file, lines in python.items() if lines} == {}


@pytest.mark.parametrize(("text", "suffix"), [
    ("environment:\n  POSTGRES_PASSWORD: postgres\n", ".yaml"),
    ("environment: [POSTGRES_PASSWORD=postgres]\n", ".yaml"),
    ("environment:\n  GF_SECURITY_ADMIN_PASSWORD: ${GRAFANA_PASSWORD:-admin}\n", ".yaml"),
    ("env:\n- {name: AWS_SECRET_ACCESS_KEY, value: abc}\n", ".yaml"),
    ("kind: Secret\nstringData:\n  auth_token: abc\n", ".yaml"),
    ("redisPassword:\n  value: hunter2\nredis_password: hunter2\n", ".yaml"),
    ("command: redis-server --requirepass hunter2\n", ".yaml"),
    ("command: mlflow server --backend-store-uri postgresql://u:p@db/mlflow\n", ".yaml"),
    ("id: AKIAABCDEFGHIJKLMNOP\n", ".yaml"),
    ("admin_password = password1234\n", ".ini"),
    ("ENV RAY_AUTH_TOKEN=abc\n", ""),
    ("export MLFLOW_TRACKING_PASSWORD=abc\n", ".sh"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\n", ".md"),
])  # fmt: skip
def test_a_planted_secret_is_found(text: str, suffix: str) -> None:
    assert found(text, suffix)


@pytest.mark.parametrize(("text", "suffix"), [
    ("environment:\n  PGPASSWORD: ${POSTGRES_PASSWORD:?give one}\n", ".yaml"),
    ("env:\n- name: REDIS_PASSWORD\n  valueFrom: {secretKeyRef: {name: tonearm-redis, key: password}}\n", ".yaml"),
    ("RAY_AUTH_TOKEN_PATH: /run/secrets/ray_token\n", ".yaml"),
])  # fmt: skip
def test_a_reference_is_none(text: str, suffix: str) -> None:
    assert found(text, suffix) == []


def test_no_image_is_the_latest() -> None:
    image = re.compile(r"^\s*(?:-\s*)?(?:image:|FROM|ARG BASE=)\s*(\S+)", re.MULTILINE)
    named = {relative(p): image.findall(p.read_text("utf-8")) for p in files() if p.suffix in (".yaml", ".yml", "")}
    assert sum(map(len, named.values())) > 10
    ours = {"tonearm", "tonearm-cuda", "${BASE}"}  # kustomize gives these a tag, see test_kuberay
    for file, images in named.items():
        assert all(i in ours or re.search(r":v?\d", i) for i in images), (file, images)
