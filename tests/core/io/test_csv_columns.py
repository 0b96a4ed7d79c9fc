"""CSV by columns: the bytes of Python's ``csv``, whether Python or Arrow joins them."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hnm_core.io import csv_columns
from hnm_core.io.cells import safe_cell
from hnm_core.io.csv_columns import Numbers, Words, write_columns
from tests.scenes import patient

pytest.importorskip("pyarrow", reason="Arrow joins many rows")

numbers = st.floats() | st.sampled_from([0.0, -0.0, 1.0, 1e-4, 9.9e-5, 1e9, 999999999.5, 1e15, 1e16, 1e22, 0.1 + 0.2])
texts = st.text(st.characters(codec="utf-8"), max_size=9) | st.sampled_from(
    ["=1", "'=1", 'a"b', "a,b", "a\nb", "", "é"]
)
rows = st.lists(st.tuples(texts, numbers, st.integers(-(2**63), 2**63 - 1), st.booleans()), max_size=30)


@settings(patient, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.integers(1, 9))
def test_the_bytes_are_those_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: list[tuple[str, float, int, bool]], at_once: int
) -> None:
    names, floats, whole, empty = ([row[at] for row in some] for at in range(4))
    with io.StringIO(newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["name", "float", "whole", "some", "again"])
        for name, number, integer, gone in some:
            writer.writerow([safe_cell(name), number, integer, "" if gone else number, safe_cell(name)])
        expected = out.getvalue().encode()
    words = list(dict.fromkeys(names))
    columns = {
        **{"name": np.arange(len(some)), "number": np.array(floats, dtype=np.float64)},
        **{"whole": np.array(whole, dtype=np.int64), "empty": np.array(empty, dtype=bool)},
        "word": np.array([words.index(name) for name in names], dtype=np.int64),
    }

    def part(rows: slice, every: Words | None = None) -> list[Numbers | Words]:
        at = {name: column[rows] for name, column in columns.items()}
        return [
            *(every or Words(names, at["name"]), Numbers(at["number"]), Numbers(at["whole"])),
            *(Numbers(at["number"], at["empty"]), Words(words, at["word"])),
        ]

    whole_table = [part(slice(None), Words(names))]
    cut = [part(slice(None, at_once)), part(slice(at_once, at_once)), part(slice(at_once, None))]
    monkeypatch.setattr(csv_columns, "ROWS_AT_ONCE", at_once)
    for many in (1, 1_000):
        monkeypatch.setattr(csv_columns, "MANY", many)
        monkeypatch.setattr(csv_columns, "SOME", many)
        for parts in (whole_table, cut):
            write_columns(tmp_path / "some.csv", ["name", "float", "whole", "some", "again"], iter(parts), len(some))
            assert (tmp_path / "some.csv").read_bytes() == expected


def test_pandas_is_not_imported(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
import numpy as np
from hnm_core.io.csv_columns import MANY, Numbers, Words, write_columns
columns = [Words(list(map(str, range(MANY)))), Numbers(np.arange(MANY) / 7, np.arange(MANY) % 2 == 0)]
write_columns(Path({str(tmp_path / "many.csv")!r}), ["name", "number"], [columns], MANY)
print("pyarrow" in sys.modules, "pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"]
