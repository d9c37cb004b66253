"""A kind of data set of one's own: recordings below a URI, a folder a class; no machine has them on a disk."""

from __future__ import annotations

from tonearm.core import storage
from tonearm.core.seeding import digest
from tonearm.datasets.base import Catalogue, DatasetConfig
from tonearm.datasets.manifest import Track


class BucketConfig(DatasetConfig, kind="bucket"):
    """Its ``root`` is the URI."""

    def catalogue(self) -> Catalogue:
        tracks = []
        for label in storage.list_folders(self.root):
            for name in storage.list_files(storage.join(self.root, label), ".ogg"):
                uri = storage.join(self.root, label, name)
                content = digest(storage.read_bytes(uri), size=16)
                track_id = f"{label}-{name.removesuffix('.ogg')}"
                tracks.append(Track(track_id=track_id, source=uri, content=content, label=label, group=track_id))
        return Catalogue("music", "sound", tracks)
