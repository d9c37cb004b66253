"""A tracking database whose tables are there: MLflow's migrations take more than a second of each new home."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path


def put_database(home: Path) -> None:
    """Put a database without experiments into a home, as MLflow's migrations make it."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(_migrated(), home / "mlflow.db")


@functools.cache
def _migrated() -> Path:
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables

    folder = Path(tempfile.mkdtemp(prefix="tonearm-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    engine = sqlalchemy.create_engine(f"sqlite:///{folder / 'mlflow.db'}")
    _initialize_tables(engine)
    engine.dispose()
    return folder / "mlflow.db"
