"""Names of artists: what writers do differently makes no second artist."""

from __future__ import annotations

import pytest

from tonearm.datasets.artist_names import artist_group, normalised_name


@pytest.mark.parametrize(
    "name",
    ["Motörhead", "MOTÖRHEAD", " Moto\u0308rhead\t", "\uff2d\uff2f\uff34\u00d6\uff32\uff28\uff25\uff21\uff24"],
)
def test_case_space_and_form_make_no_difference(name: str) -> None:
    assert artist_group(name) == "artist:motörhead"


def test_what_is_plain_stays_so_and_different_names_stay_different() -> None:
    for name in ("The  Band", "STRASSE", "\u0390\u0345", "ﬁ\u00a0X", "Ⅷ"):
        assert normalised_name(normalised_name(name)) == normalised_name(name) != ""
    assert len({normalised_name(name) for name in ("Björk", "Bjork", "Bjork!", "B jork")}) == 4
    assert normalised_name("Straße") == normalised_name("STRASSE")


@pytest.mark.parametrize("name", [None, "", " \t\u00a0"])
def test_no_name_is_no_group(name: str | None) -> None:
    assert artist_group(name) == "" and normalised_name(name) == ""
