"""The world the tests run in: a database, a plugins folder and settings of their own, all gone at the end.

FiftyOne reads its environment when it is imported, so this is set up while pytest reads this file. FiftyOne's last
words to the database come at interpreter exit: what is undone here is undone after that (``atexit`` runs backwards).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from fiftyone_plugin.setup.database import database_uri, drop_database, find_mongod, private_mongod, uri_of

ROOT = Path(__file__).parents[1]
DATABASE = f"hnm_test_{os.getpid()}"
WORLD = Path(tempfile.mkdtemp(prefix="hnm_test_"))
# Where tests run side by side, each process inherits what the first one has made of the environment.
USERS_URI = os.environ.setdefault("HNM_TESTS_USERS_DATABASE", database_uri() or "")

_server = ExitStack()
atexit.register(shutil.rmtree, WORLD, ignore_errors=True)
atexit.register(_server.close)


def _settle() -> None:
    plugins = WORLD / "plugins"
    plugins.mkdir()
    (plugins / "hard-negative-mining").symlink_to(ROOT)
    own = {
        "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS": "true",
        "FIFTYONE_CONFIG_PATH": WORLD / "fiftyone.json",  # the user's own may name another database
        "FIFTYONE_DATABASE_DIR": WORLD / "mongo",
        "FIFTYONE_DATABASE_NAME": DATABASE,
        "FIFTYONE_DATASET_ZOO_DIR": WORLD / "zoo",
        "FIFTYONE_DEFAULT_DATASET_DIR": WORLD / "datasets",
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_MODEL_ZOO_DIR": WORLD / "models",
        "FIFTYONE_PLUGINS_DIR": plugins,
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
        "MPLBACKEND": "Agg",
        "YOLO_CONFIG_DIR": WORLD / "yolo",
        "YOLO_OFFLINE": "true",
    }
    if USERS_URI:
        own["FIFTYONE_DATABASE_URI"] = USERS_URI
        atexit.register(drop_database, USERS_URI, DATABASE)
    elif find_mongod():
        own["FIFTYONE_DATABASE_URI"] = uri_of(WORLD / "mongo")
    os.environ.update({name: str(value) for name, value in own.items()})


_settle()


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Start MongoDB before the first module is read that may import FiftyOne; the engine's tests need none."""
    started = (WORLD / "mongo").exists()
    if not (started or USERS_URI) and ROOT / "tests" / "core" not in module_path.parents and find_mongod():
        _server.enter_context(private_mongod(WORLD / "mongo"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: where files run side by side, the last one must not be the longest."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real detection sets with real predictions that lie beside the checkout, on machines that have them."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no ../shared/data beside the checkout ({ROOT.name})")
    return folder
