"""Names that must shadow nothing, files that stay readable, and what no file may hold."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import sysconfig
from importlib.machinery import PathFinder

import pytest

from tests.architecture.files import ROOT, python_files, relative, repository_files
from tonearm.core import errors

LONGEST = 400
LONG = 300
LONGEST_JOB, ALL_JOBS = 120, 1677  # lines: jobs parse, call one workflow, print
JUSTIFIED = {
    "platform/tonearm/models/kernels.py": "numba's cache on disk notices changes only in the file of the caller",
}


# --- names


def test_platform_has_no_init_file() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()  # it would shadow the standard library's platform


@pytest.mark.integration
def test_standard_platform_module_is_found_from_the_root() -> None:
    code = "import platform; print(platform.python_version())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ".".join(map(str, sys.version_info[:3]))


def top_level_names() -> list[str]:
    found = {p.stem for p in ROOT.glob("*.py")}
    found |= {p.name for p in ROOT.iterdir() if p.is_dir() and p.name.isidentifier()}
    return sorted((found | {"tonearm"}) - {"platform", "build"})


@pytest.mark.parametrize("name", top_level_names())
def test_top_level_name_shadows_nothing(name: str) -> None:
    assert name not in sys.stdlib_module_names
    places = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    spec = PathFinder.find_spec(name, [p for p in places if p])
    assert spec is None or spec.origin is None, f"{name} is also {spec.origin}"


# --- files


def test_no_python_file_is_too_long() -> None:
    lengths = {relative(p): len(p.read_text("utf-8").splitlines()) for p in python_files()}
    assert {f: n for f, n in lengths.items() if n > LONGEST} == {}
    assert {f: n for f, n in lengths.items() if n > LONG and f not in JUSTIFIED} == {}


def test_jobs_are_short() -> None:
    lengths = {relative(p): len(p.read_text("utf-8").splitlines()) for p in python_files("jobs")}
    assert {f: n for f, n in lengths.items() if n > LONGEST_JOB} == {} and sum(lengths.values()) <= ALL_JOBS


def forbidden_hosts() -> list[str]:
    """Hosts of package registries and downloads, put together here so that this file holds none of them."""
    parts = [
        ("pypi", "org"), ("files.pythonhosted", "org"), ("pythonhosted", "org"), ("registry.npmjs", "org"),
        ("registry.yarnpkg", "com"), ("conda.anaconda", "org"), ("repo.anaconda", "com"), ("download.pytorch", "org"),
        ("crates", "io"), ("rubygems", "org"), ("proxy.golang", "org"), ("repo1.maven", "org"),
        ("ghcr", "io"), ("quay", "io"), ("gcr", "io"), ("registry-1.docker", "io"), ("registry.hub.docker", "com"),
        ("nvcr", "io"), ("deb.debian", "org"), ("archive.ubuntu", "com"), ("unpkg", "com"), ("cdn.jsdelivr", "net"),
        ("cdnjs.cloudflare", "com"), ("huggingface", "co"), ("raw.githubusercontent", "com"),
    ]  # fmt: skip
    return [".".join(p) for p in parts]


DOWNLOAD = re.compile(r"[a-z]+://[^\s\"'<>]+\.(whl|zip|tar|tgz|gz|bz2|xz|deb|rpm|exe|dmg|jar|safetensors|ckpt|sf2)\b")


def addresses_in(text: str) -> list[str]:
    hosts = [h for h in forbidden_hosts() if re.search(rf"(?<![\w-]){re.escape(h)}\b", text, re.IGNORECASE)]
    return hosts + [m.group() for m in DOWNLOAD.finditer(text)]


def test_the_search_for_addresses_finds_them() -> None:
    scheme = "https" + "://"
    assert addresses_in("pip --index-url " + scheme + ".".join(["pypi", "org"]) + "/simple")
    assert addresses_in(scheme + "example.org/data." + "zip")
    assert not addresses_in("http" + "://localhost:8000/docs and memory" + "://bucket/store")


def test_no_file_names_a_registry_or_a_download() -> None:
    found = {}
    for path in repository_files():
        if path.is_symlink() or not path.is_file():
            continue
        names = addresses_in(path.read_bytes().decode("utf-8", "ignore"))
        if names:
            found[relative(path)] = names
    assert found == {}


def test_constraints_pin_names_and_versions_only() -> None:
    path = ROOT / "constraints.txt"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []  # written with the first release
    pinned = [line for line in lines if line.strip() and not line.startswith("#")]
    assert [x for x in pinned if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.+!_-]*", x)] == []
    names = [re.sub(r"[-_.]+", "-", x.split("==")[0]).lower() for x in pinned]
    assert len(names) == len(set(names))


# --- the exception tree


def drawn_tree(docstring: str) -> dict[str, str]:
    """Child to parent, as the docstring draws them: each level is four columns further right."""
    root = next(line for line in docstring.splitlines() if line.strip() == "TonearmError")
    indent, above = len(root) - len(root.lstrip()), ["TonearmError"]
    parents: dict[str, str] = {}
    for match in re.finditer(r"^([ │]*)[├└]── (\w+)", docstring, re.MULTILINE):
        depth = (len(match.group(1)) - indent) // 4
        above = [*above[: depth + 1], match.group(2)]
        parents[match.group(2)] = above[depth]
    return parents


def test_exception_tree_is_as_drawn() -> None:
    assert errors.__doc__ is not None
    classes = {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, Exception)}
    real = {n: c.__bases__[0].__name__ for n, c in classes.items() if c is not errors.TonearmError}
    assert drawn_tree(errors.__doc__) == real


def test_every_error_that_crosses_processes_survives_pickling() -> None:
    for error in (errors.ConfigError(["a", "b"]), errors.AudioError("silent", "all zero"), errors.JobError("stop")):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (type(again), str(again)) == (type(error), str(error))


def test_nothing_else_lies_at_the_top() -> None:
    known = {"platform", "jobs", "search_spaces", "serve", "infra", "tests", "build"}
    there = {p.name for p in ROOT.iterdir() if p.is_dir() and not p.name.startswith(".")}
    assert {name for name in there if not name.endswith(".egg-info")} <= known  # setuptools leaves one
