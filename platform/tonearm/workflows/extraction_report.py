"""What an extraction came to, for people: figures, what was set aside, and a page of spectrograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tonearm.core import home, storage
from tonearm.core.best_effort import best_effort
from tonearm.core.errors import ConfigError
from tonearm.core.text import format_table
from tonearm.features.base import Representation
from tonearm.features.plots import spectrogram_page
from tonearm.features.presets import display_name
from tonearm.features.row_store import DESCRIPTOR_TABLE, FINGERPRINT_TABLE
from tonearm.features.store import FeatureStore, store_uri, track_key
from tonearm.features.store_copy import copy_to_node
from tonearm.workflows.prepared import PreparedData

TRACKS_SHOWN = 4
DUPLICATES_SHOWN = 5
NOTES_SHOWN = 5


def write_report(data: PreparedData) -> str:
    """Write ``extraction.json`` and ``extraction.png`` to the data set's reports; returns the report for people.

    Raises
    ------
    ConfigError
        If nothing was extracted of it.
    """
    manifest, features, clip, report = data.manifest, data.features, data.clip, data.extraction
    if report is None:
        raise ConfigError(f"data set {data.name} has no extraction to report: prepare it with features")
    names = {f.store_name(): display_name(f) for f in features}
    rows = [
        ("tracks", f"{report.extracted} extracted now, {report.stored} were there, {len(data.rejects)} set aside"),
        ("audio", f"{report.audio_seconds / 3600:.2f} h in {report.seconds:.0f} s, start-up included: "
                  f"{report.real_time_factor:.0f} x real time"),
        ("speed", f"{report.tracks_per_core_second:.1f} tracks/s/core (CPU time: decode {report.decode_seconds:.1f} s, "
                  f"compute and write {report.compute_seconds:.1f} s)"),
    ]  # fmt: skip
    names |= {FINGERPRINT_TABLE: "fingerprints", DESCRIPTOR_TABLE: "descriptors"}
    rows += [(f"wrote {names.get(n, n)}", f"{size / 2**20:.1f} MiB") for n, size in sorted(report.bytes.items())]
    reasons = Counter(r.reason for r in data.rejects)
    rows += [(f"set aside: {reason}", str(n)) for reason, n in reasons.most_common()]
    rows += [("note", f"{source} {note}") for source, note in list(report.notes.items())[:NOTES_SHOWN]]
    if len(report.notes) > NOTES_SHOWN:
        rows.append(("note", f"{len(report.notes) - NOTES_SHOWN} more files with a wrong header, see the report"))
    rows += [("same recording", " = ".join(group)) for group in report.duplicates[:DUPLICATES_SHOWN]]
    if len(report.duplicates) > DUPLICATES_SHOWN:
        rows.append(("same recording", f"and {len(report.duplicates) - DUPLICATES_SHOWN} more groups, see the report"))
    where = home.reports_home(manifest.name)
    storage.write_json(storage.join(where, "extraction.json"), {
        "dataset": manifest.name, "features": {f.store_name(): f.to_dict() for f in features},
        "clip": clip.to_dict(), "extracted": report.extracted, "stored": report.stored, "seconds": report.seconds,
        "working_seconds": report.working_seconds,
        "audio_hours": report.audio_seconds / 3600, "tracks_per_core_second": report.tracks_per_core_second,
        "real_time_factor": report.real_time_factor, "decode_cpu_seconds": report.decode_seconds,
        "compute_cpu_seconds": report.compute_seconds, "bytes": dict(report.bytes),
        "rejects": dict(reasons), "notes": dict(report.notes),
        "duplicates": [list(g) for g in report.duplicates],
    })  # fmt: skip
    step = max(1, len(manifest.tracks) // TRACKS_SHOWN)
    shown = [
        (track_key(t.content, clip), f"{t.name} ({t.label})") for t in manifest.tracks[step // 2 :: step][:TRACKS_SHOWN]
    ]
    best_effort("extraction.png", _write_spectrograms, where, {names[f.store_name()]: f for f in features}, shown)
    return f"{format_table(rows)}\n  report and spectrograms to look at: {where}/extraction.json, extraction.png"


def _write_spectrograms(where: str, features: Mapping[str, Representation], shown: Sequence[tuple[str, str]]) -> None:
    keys, root, cache = [key for key, _ in shown], home.features_home(), home.node_cache()
    stores = {name: FeatureStore(copy_to_node(store_uri(root, f), cache, keys)) for name, f in features.items()}
    storage.write_bytes(storage.join(where, "extraction.png"), spectrogram_page(stores, shown))
