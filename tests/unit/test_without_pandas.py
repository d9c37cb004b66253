"""One thread does without pandas while it loads what would load it; nobody else notices."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import threading
from tonearm.core.without_pandas import without_pandas

def has_pandas():
    try:
        import pandas
    except ImportError:
        return False
    return True

found = []
with without_pandas():
    found.append(has_pandas())
    other = threading.Thread(target=lambda: found.append(has_pandas()))
    other.start()
    other.join()
    found.append(has_pandas())
with without_pandas():
    import pandas.tseries.offsets
print(found, any(type(finder).__name__ == "_NoPandas" for finder in sys.meta_path))
"""


def test_pandas_is_missing_to_one_thread_until_it_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "[False, True, True] False\n", "not to this thread; to another; to both once it is there"
