"""Names of artists: what writers do differently makes no second artist."""

from __future__ import annotations

import pytest

from tonearm.datasets.artist_names import MOST_LETTERS, artist_group, artist_names, normalised_name


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


@pytest.mark.parametrize("name", [
    "R.E.M.", "R. E. M.", "R E M", "r.e.m.", "H.E.R.", "N.E.R.D", "N*E*R*D", "C.P.E. Bach", "C. P. E. Bach",
    "Robert E. Lee", "Robert E Lee", "ROBERT E. LEE", "J.Y. Park", "J. Y. Park", "J Y Park", "E. Y. Harburg",
    "M.I.A.", "E.T.", "X.Y.Z.", "E-40", "Eazy-E", "Sheila E.", "Sheila E", "X Ambassadors", "Malcolm X. Smith",
    "Tom E. Gunn", "Lil' E", "Bach, J. S.", "Smith, J.", "12 Ft Ninja", "6 ft. Under",
    "Little Feat",
    "\u0410. \u0418. \u0425\u0430\u0447\u0430\u0442\u0443\u0440\u044f\u043d",
    "\u0410.\u0418. \u0425\u0430\u0447\u0430\u0442\u0443\u0440\u044f\u043d",
    "\u0410 \u0418 \u0425\u0430\u0447\u0430\u0442\u0443\u0440\u044f\u043d",
    "\u0410. \u0421. \u0414\u0430\u0440\u0433\u043e\u043c\u044b\u0436\u0441\u043a\u0438\u0439",
    "\u0410\u043b\u0435\u043a\u0441\u0430\u043d\u0434\u0440 \u0421. "
    "\u0414\u0430\u0440\u0433\u043e\u043c\u044b\u0436\u0441\u043a\u0438\u0439",
    "\u041f. \u0418. \u0427\u0430\u0439\u043a\u043e\u0432\u0441\u043a\u0438\u0439",
    "\u041f.\u0418.\u0427\u0430\u0439\u043a\u043e\u0432\u0441\u043a\u0438\u0439",
    "\u041f.\u0418. \u0427\u0410\u0419\u041a\u041e\u0412\u0421\u041a\u0418\u0419",
])  # fmt: skip
def test_initials_and_numbers_are_no_words_between_names(name: str) -> None:
    (found,) = artist_names(name)
    assert found in (name.casefold(), "bach", "smith")


@pytest.mark.parametrize(("text", "names"), [
    ("R.E.M. & H.E.R.", ("r.e.m.", "h.e.r.")), ("Robert E. Lee e Luciano", ("robert e. lee", "luciano")),
    ("Wisin Y Yandel", ("wisin", "yandel")), ("wisin y yandel", ("wisin", "yandel")),
    ("BTS X Halsey", ("bts", "halsey")), ("Eric B. and Rakim", ("eric b.", "rakim")), ("M and M", ("m and m",)),
    ("Miles w/ Guest", ("miles", "guest")), ("Miles w/Guest", ("miles", "guest")),
    ("Maroon 5 ft Guest", ("maroon 5", "guest")), ("Miles feat: Guest", ("miles", "guest")),
    ("MILES WITH GUEST", ("miles", "guest")), ("Smith, J., Doe, R.", ("smith", "doe")),
    ("Diplo, M.I.A., T.I.", ("diplo", "m.i.a.", "t.i.")),
    ("\uff2d\uff29\uff2c\uff25\uff33\uff1b Guest", ("miles", "guest")),
    ("\u041a\u0438\u043d\u043e \u0438 \u0414\u0414\u0422", ("\u043a\u0438\u043d\u043e", "\u0434\u0434\u0442")),
])  # fmt: skip
def test_words_between_names_still_are(text: str, names: tuple[str, ...]) -> None:
    assert artist_names(text) == names


@pytest.mark.parametrize("unit", ["a with ", "ab with ", "with ", "x feat. ", "(", "a, ", "e y "])
def test_of_an_endless_text_the_beginning_is_read(unit: str) -> None:
    assert sum(map(len, artist_names(unit * 100_000))) <= MOST_LETTERS
    assert artist_names("Miles, Guest" + " " * 9 + unit * 100_000)[:1] == ("miles",)
