"""Names that are nobody's: what players, rippers and shops write where they know no artist, or where there are many."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from tonearm.datasets.cells import is_unknown
from tonearm.datasets.letters import folded, without_accents


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOT_KNOWN = _words("""
    unknown unkown unknow unbekannt unbekannte unbekannter inconnu inconnue desconocido desconocida desconhecido
    desconhecida sconosciuto sconosciuta onbekend onbekende okand okant ukendt ukjent tuntematon ismeretlen
    nieznany nieznana neznamy neznama neznan nepoznat nepoznati necunoscut bilinmeyen tundmatu nezinams
    nezinomas othekktur αγνωστοσ неизвестный неизвестно неизвестен неизвестная неизв невідомий невідомо непознат
    anonymous anonym anonymus anonimo anonyme anon аноним unspecified untitled misc miscellaneous tidak dikenal
""")
MANY = _words("""
    various multiple several diverse divers diverses diversen diversi verschiedene mehrere varios varias vari
    varie varies diversos diversas differents plusieurs blandade forskellige eri ruzni rozni razni razliciti
    vegyes cesitli διαφοροι разные различные різні различни разни сборник сборная mixed assorted compilation
    compilations compilacao compilacion compilado compil sampler soundtrack soundtracks ost bso
""")
AN_ARTIST = _words("""
    artist artists artista artistas artisti artiste artistes artister artiest artiesten artistul artis artystka
    artysta performer performers interpret interpreten interprete interpretes interpreti interprets esittaja
    esittajia kunstler kunstlerin kunstner kunstnere sanatci sanatcilar eloado eloadok umelec umelci wykonawca
    wykonawcy zespol izvajalec izvodac izvodaci esitaja makslinieks atlikejas καλλιτεχνησ καλλιτεχνεσ
    исполнитель исполнители артист артисты виконавець виконавці изпълнител изпълнители извођач извођачи composer
    composers
""")
WEAK = _words("eri mixed assorted multiple several plusieurs differents razni rozni vari tidak dikenal")
"""Of both: words that are names, too, and say nothing only beside one of AN_ARTIST."""
ALONE = _words("artist artists artista artiste interpret performer kunstler исполнитель track album")
"""Words that are no name by themselves; ``Artist 1`` is one, in tables without names."""
NOT_ANY = _words("no kein keine sin sans")
BESIDE = NOT_ANY | _words("original track album title name not known available given")
IN_ALL = frozenset({
    "va", "v a", "aavv", "aa vv", "n n", "nn", "unk", "tba", "tbd", "n a", "artist unknown", "not known",
    "not available", "not set", "not given", "trad", "traditional", "不明なアーティスト", "未知のアーティスト",
    "不明", "アーティスト不明", "ヴァリアス アーティスト", "ヴァリアスアーティスト", "オムニバス", "未知艺术家",
    "未知藝術家", "未知歌手", "未知", "佚名", "群星", "未知アーティスト", "合辑", "合輯", "알 수 없는 아티스트",
    "알 수 없음", "아티스트 미상", "미상", "여러 아티스트", "ศิลปินที่ไม่รู้จัก", "ศิลปินไม่ทราบชื่อ", "فنان غير معروف", "غير معروف",
    "אמן לא ידוע", "nghe si khong ro", "nghe si khong xac dinh", "अज्ञात कलाकार",
})  # fmt: skip
CACHED = 50_000


def words_of(text: str) -> list[str]:
    """The words of a text, folded and without accents."""
    return _spaced(without_accents(folded(text))).split()


def _spaced(text: str) -> str:
    return "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text)


NOBODY = frozenset(" ".join(words_of(name)) for name in IN_ALL)


@lru_cache(CACHED)
def is_nobody(name: str | None) -> bool:
    """Whether a text names no artist: it is empty or says "unknown" or "various artists", in many languages."""
    if is_unknown(name):
        return True
    words = words_of(name or "")
    plain = " ".join(words)
    return plain in NOBODY or plain.replace(" ", "") in _RUN_TOGETHER or _says_nothing(words)


def _says_nothing(words: Iterable[str]) -> bool:
    """Whether words say that an artist is not known, or that there are many, and nothing else."""
    own = set(words)
    about, empty = own & AN_ARTIST, own & (NOT_KNOWN | MANY)
    rest = own - about - empty - BESIDE
    if rest and not (about and empty and all(word.isdigit() for word in rest)):  # "Anonymous 4" is a choir
        return False
    return bool(empty - WEAK or (about and (empty or own & NOT_ANY or own <= ALONE)))


_RUN_TOGETHER = frozenset({"unknownartist", "unknownartists", "variousartists", "variousartist", "noartist", "aavv",
                           "unknownalbumartist"})  # fmt: skip
