"""The page of a library's map, and ``tonearm map``: what is shown, what is written, and what a title may hold."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import map as job
from tests.commands import run_job
from tests.libraries import PlainLibrary
from tests.unit.test_predict_files import write_model
from tonearm.inference import load
from tonearm.inference.made_catalogues import catalogue_uri
from tonearm.recommend.catalogue_changes import Space, change_catalogue
from tonearm.recommend.map_page import groups_of, library_groups, map_page, page_data

EVIL = "</script><img src=x onerror=alert(1)><!--"


class Page(HTMLParser):
    """The elements of a page, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and data.strip():
            self.scripts.append(data)


def page_of(**columns: Any) -> tuple[str, Page]:
    rows = len(next(iter(columns.values())))
    text = map_page(PlainLibrary(np.eye(rows), **columns), np.full((rows, 2), 0.5, np.float32), EVIL, [EVIL])
    return text, Page(text)


def test_whatever_a_title_says_stays_a_title() -> None:
    odd = [EVIL, "a\x00\u202eb\n", "\ud800", '&amp; "quoted" \u2028 é', "<script>alert(1)</script>"]
    text, page = page_of(title=odd, artist=odd, label=odd, place=odd, predicted=[(EVIL,)] * 5)
    assert [tag for tag, _ in page.elements].count("script") == 2, "the data and our own script"
    assert not {"img", "iframe", "link", "object"} & {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert text.encode().count(b"</script>") == 2 and "\u202e" not in text
    shown = json.loads(page.scripts[0])
    assert shown["titles"] == [EVIL, "a\\x00\\u202eb\\n", "\\ud800", '&amp; "quoted" \\u2028 é', odd[4]]
    assert EVIL in shown["groups"][0]["names"]


def test_a_browser_may_run_our_script_alone_and_load_nothing() -> None:
    text, page = page_of(title=["a", "b"])
    policy = next(a["content"] or "" for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'"
    assert not [a for _, a in page.elements if "src" in a or "href" in a] and "http://" not in text


def test_rows_are_grouped_by_what_they_share_the_most_frequent_first() -> None:
    groups = groups_of(["b", "a", None, "b", "", "c"])
    assert groups.names == ["b", "a", "c"] and groups.of == [0, 1, -1, 0, -1, 2]
    library = PlainLibrary(np.eye(3), year=[1999.0, 2000.0, np.nan], label=["", "", ""], artist=["A", None, "A"],
                           predicted=[("jazz", "folk"), None, ()])  # fmt: skip
    found = library_groups(library)
    assert list(found) == ["predicted", "era", "artist"], "what nobody says is not offered"
    assert found["era"].names == ["1990s", "2000s"] and found["era"].of == [0, 1, -1]
    assert found["predicted"].names == ["jazz"] and found["predicted"].of == [0, -1, -1]


def test_a_row_without_a_title_is_called_by_its_id_and_places_are_whole_numbers() -> None:
    library = PlainLibrary(np.eye(2), title=["T", None])
    shown = page_data(library, np.array([[0, 1], [0.5, 0.25]], np.float32))
    assert shown["titles"] == ["T", "t1"] and shown["years"] == [None, None] and shown["groups"] == []
    assert (shown["x"], shown["y"]) == ([0, 32768], [65535, 16384])


# --- the job


@pytest.fixture
def model(tmp_path: Path, tonearm_home: Path) -> str:
    """A model with a catalogue ``music`` of two clusters, none of which was heard."""
    uri = write_model(tmp_path / "model")
    rng = np.random.default_rng(0)
    vectors = np.eye(8)[[i % 2 for i in range(40)]] + rng.normal(scale=0.05, size=(40, 8))
    rows = [{"track_id": f"t{i:02}", "title": f"=T{i}" if i else EVIL, "label": "ab"[i % 2], "year": 1990 + i}
            for i in range(40)]  # fmt: skip
    digest = load(uri).digest
    change_catalogue(catalogue_uri(digest, "music"), Space(digest, 8), rows, vectors.astype(np.float32))
    return uri


run = partial(run_job, job.main)


def test_the_job_says_how_faithful_the_map_is_and_where_it_lies(model: str, tonearm_home: Path) -> None:
    code, told = run("--model", model)
    folder = tonearm_home / "reports" / "music" / f"map-{load(model).digest}"
    assert code == 0 and f"page: {folder / 'map.html'}" in told and f"coordinates: {folder / 'map.csv'}" in told
    assert "music: 40 rows" in told and "Trustworthiness 0." in told and "coordinates at random 0." in told
    shown = json.loads(Page((folder / "map.html").read_text()).scripts[0])
    assert shown["titles"][:2] == [EVIL, "=T1"] and [g["name"] for g in shown["groups"]] == ["label", "era"]
    with (folder / "map.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["track_id"] == "t01" and rows[1]["title"] == "'=T1" and rows[1]["year"] == "1991"
    places = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    assert places.min() >= 0 and places.max() <= 1
    assert np.linalg.norm(places[::2].mean(axis=0) - places[1::2].mean(axis=0)) > 0.3, "the clusters are apart"


def test_a_catalogue_that_is_not_there_is_told_with_those_that_are(model: str, tmp_path: Path) -> None:
    code, told = run("--model", model, "--name", "musik")
    assert code == 1 and "has no catalogue 'musik': it has music" in told
    code, told = run("--model", write_model(tmp_path / "other", seed=2))
    assert code == 1 and "has no catalogue to recommend from" in told
    code, told = run("--model", model, "--name", "music", "--out", str(tmp_path / "here"))
    assert code == 0 and f"page: {tmp_path / 'here' / 'map.html'}" in told
