"""Encodings are guessed by the letters that they make; a few letters alone make no text of a rare encoding."""

from __future__ import annotations

import pytest

from tonearm.datasets.text_encodings import NAMES, guess_encoding

WORDS = {
    "cp1252": ["ÅÄÖ", "Ð", "Þór", "Nº 1", "1ª", "Mª", "m²", "½", "£5", "Öö", "Å", "2\xd74", "µ-Ziq", "Foo™",
               "Foo®", "¿Qué?",
               "ÁÉÍÓ", "jäääär", "Sigur Rós", "MÖTLEY CRÜE", "Straße",
               "créée", "Mädchen \u2013 “x”", "síðasta", "Þórður",
               "À",
               "Björk, Þeyr, Múm, Ný dönsk, Ásgeir, ber, Ðe", "Größe, Bär, Füße, Öl", "coração, não, à, é, Três",
               "Año Nuevo, ¡Olé!, Cómo, Sí, Qué", "Åse, Bjørn, Blåbær", "Yö, Hevisaurus, Räppi, Täällä", "N°5"],
    "cp1251": ["Рок", "Поп", "Джаз", "рок", "поп, рок, джаз", "Русский рок", "шансон, барды"],
    "koi8-r": ["Русский рок", "Шансон, Эстрада"],
    "cp1250": ["Łódź", "Dvořák, Žižka", "Wałęsa, Żółć"],
    "mac_roman": ["Café", "Forró, Über, Señor"],
    "cp850": ["Café, Über", "Señor"],
    "cp1253": ["Ρεμπέτικα"],
    "cp1254": ["Türkçe, Şark\u0131, İlâhi, Ağ\u0131r", "Müzik, Halk Müziği, Özgün, Arabesk, Taş Plak, Çalg\u0131",
               "\u0131ş\u0131k, güç, dağ, ölü"],
    "cp1255": ["שלום עולם, מוזיקה ישראלית", "רוק ישראלי", "ירושלים של זהב"],
    "cp950": ["搖滾, 流行音樂, 爵士", "國語歌曲 台灣", "古典音樂與民謠"],
    "gb18030": ["流行音乐, 摇滚", "古典音乐与民谣", "中国 歌曲"],
    "euc_kr": ["가요, 발라드, 트로트"],
    "euc_jp": ["ロック, 音楽", "日本の歌, 演歌", "クラシック音楽"],
    "cp932": ["ロック, 音楽", "日本の歌, 演歌", "音楽"],
}  # fmt: skip


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in WORDS.items() for text in texts])
@pytest.mark.parametrize("rows", [1, 20])
def test_texts_are_read_as_they_were_written(encoding: str, text: str, rows: int) -> None:
    raw = ("path,genre\r\n" + "".join(f"{i}.mp3,{text}\r\n" for i in range(rows))).encode(encoding)
    found = guess_encoding(raw)
    assert found in NAMES and raw.decode(found) == raw.decode(encoding), (found, raw.decode(found))
