"""``hnm doctor``: check this machine for everything that the plugin needs, and print what to do about the rest.

Every check looks at the thing itself (a file, a version, an answering server), and works even if FiftyOne is missing or
broken. So nothing large is imported here except inside the check that is about it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from fiftyone_plugin.setup import probe
from fiftyone_plugin.setup.database import DatabaseError, database_uri, find_mongod, mongod_version
from hnm_core.commands import DONE, FOUND_WRONG, Command

ROOT = probe.ROOT
DISTRIBUTION = "fiftyone-hard-negative-mining"
OK, OPTIONAL, WRONG = "ok", "optional", "wrong"
COLOURS = {OK: 32, OPTIONAL: 33, WRONG: 31}

OPTIONAL_PACKAGES = {
    "torch": ("yolo", "predict with a detector, train one, or use the weights in a torch sampler"),
    "ultralytics": ("yolo", "predict with YOLO or train it"),
    "lap": ("track", "watch videos"),
    "pyarrow": ("io", "read or write Parquet"),
    "matplotlib": ("plots", "draw the report"),
    "scikit-learn": ("demo", "run the demo"),
    "scikit-image": ("demo", "run the demo"),
}


@dataclass(frozen=True)
class CheckResult:
    """One line of the table.

    Attributes:
        name: what was checked.
        state: ``ok``, ``optional`` (missing, but needed only for some work) or ``wrong``.
        found: what was found.
        advice: what to do; empty if nothing.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def examine() -> list[CheckResult]:
    """Run every check, each after those that it depends on."""
    return [result for check in CHECKS for result in check()]


def check_python() -> Iterator[CheckResult]:
    """Check the interpreter."""
    yield CheckResult("python", OK, f"{platform.python_version()} ({sys.executable})")


def check_packages() -> Iterator[CheckResult]:
    """Check the installed packages against the versions in our own metadata."""
    for name, extra in (("numpy", ""), ("fiftyone", "[app]")):
        yield _package(name, CheckResult(name, WRONG, "not installed", f"pip install '{DISTRIBUTION}{extra}'"))
    for name, (extra, purpose) in OPTIONAL_PACKAGES.items():
        advice = f"not needed unless you {purpose}: pip install '{DISTRIBUTION}[{extra}]'"
        yield _package(name, CheckResult(name, OPTIONAL, "not installed", advice))


def _package(name: str, missing: CheckResult) -> CheckResult:
    found = _version(name)
    if found is None:
        return missing
    wanted = _wanted(name)
    if wanted and not _satisfies(found, wanted):
        return CheckResult(name, WRONG, f"{found}, tested with {wanted}", f"pip install '{name}{wanted}'")
    return CheckResult(name, OK, found)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _wanted(name: str) -> str:
    """Return the version specifier of a package in our installed metadata; "" if we are not installed."""
    try:
        wishes = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return ""
    specifiers = [wish.partition(";")[0].strip()[len(name) :] for wish in wishes if wish.startswith(name)]
    return next((specifier for specifier in specifiers if specifier[:1] in tuple("<>=!~")), "")


def _satisfies(found: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # comes with FiftyOne
        return True
    return SpecifierSet(wanted).contains(found, prereleases=True)


def check_opencv() -> Iterator[CheckResult]:
    """Check for two OpenCV distributions in one ``cv2/`` folder, of which the one installed last wins."""
    owners = {name: _version(name) for name in ("opencv-python", "opencv-python-headless")}
    installed = {name: found for name, found in owners.items() if found}
    if not installed:
        return
    both = ", ".join(f"{name} {found}" for name, found in installed.items())
    again = "pip install --force-reinstall --no-deps 'opencv-python-headless<5' 'opencv-python<5'"
    try:
        import cv2

        live = str(cv2.__version__)
    except ImportError as error:
        advice = "install the library it names (Debian, Ubuntu: apt install libgl1 libglib2.0-0)"
        yield CheckResult("cv2", WRONG, f"does not load ({error}); {both}", advice)
        return
    if len(set(installed.values())) > 1:
        yield CheckResult("cv2", WRONG, f"{live} is imported, but two versions share its folder: {both}", again)
    elif int(live.split(".")[0]) >= 5:
        yield CheckResult("cv2", WRONG, f"{live}, FiftyOne needs a release below 5; {both}", again)
    else:
        yield CheckResult("cv2", OK, f"{live} ({both})")


def check_mongod() -> Iterator[CheckResult]:
    """Check that the database server exists and starts."""
    bring = f"{sys.executable} -m fiftyone_plugin.setup.database"
    uri, mongod = database_uri(), find_mongod()
    if uri:
        yield CheckResult("mongod", OK, f"not used: FIFTYONE_DATABASE_URI is {_without_password(uri)}")
    elif mongod is None:
        yield CheckResult("mongod", WRONG, "FiftyOne has none", f"run {bring}, or set FIFTYONE_DATABASE_URI")
    else:
        try:
            yield CheckResult("mongod", OK, f"{mongod_version(mongod)} ({mongod})")
        except DatabaseError as error:
            yield CheckResult("mongod", WRONG, "does not start", str(error))


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def check_fiftyone() -> Iterator[CheckResult]:
    """Check that the database answers, and that FiftyOne finds and loads the plugin."""
    if _version("fiftyone") is None or not (database_uri() or find_mongod()):
        return  # check_packages or check_mongod reports this
    yield from results_of(probe.run_probe())


def results_of(probed: probe.ProbeResult) -> Iterator[CheckResult]:
    """Return the lines that follow from what FiftyOne reported."""
    if probed.error:
        advice = "check that the server of FIFTYONE_DATABASE_URI runs" if database_uri() else "reinstall FiftyOne"
        yield CheckResult("database", WRONG, probed.error, advice)
        return
    yield CheckResult("database", OK, "answers")
    if probed.name is None:
        advice = "not needed unless you use the App: put a checkout of the project into that folder"
        yield CheckResult("plugin", OPTIONAL, f"not in {probed.plugins_dir}, and no fiftyone.yml in {ROOT}", advice)
        return
    absent = sorted(set(probed.declared) - set(probed.registered))
    if probed.load_errors:
        yield CheckResult("operators", WRONG, f"do not load: {probed.load_errors[-1]}", _install())
    elif absent:
        advice = f"check that {ROOT / 'fiftyone.yml'} and the code are of the same version"
        yield CheckResult("operators", WRONG, f"not registered: {', '.join(absent)}", advice)
    else:
        yield CheckResult("operators", OK, f"all {len(probed.registered)} load")
    if probed.listed:
        yield CheckResult("plugin", OK, f"{probed.name} is in {probed.plugins_dir}")
    else:
        link = Path(probed.plugins_dir) / "hard-negative-mining"
        advice = f"`hnm demo` includes it; for your own App: mkdir -p {link.parent} && ln -s {ROOT} {link}"
        yield CheckResult("plugin", OPTIONAL, f"not in {probed.plugins_dir}", advice)


def _install() -> str:
    """Return the command that installs this again, from the checkout or by name."""
    checkout = (ROOT / "pyproject.toml").is_file()
    return f"pip install -e '{ROOT}[app]'" if checkout else "pip install 'fiftyone-hard-negative-mining[app]'"


def check_delegation() -> Iterator[CheckResult]:
    """Check whether the App offers to run operators in the background."""
    name = "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS"
    if os.environ.get(name, "").lower() in {"true", "1"}:
        yield CheckResult("scheduling", OK, f"{name} is set")
    else:
        advice = (
            f"not needed unless you run long operators in the background: export {name}=true before starting the App"
        )
        yield CheckResult("scheduling", OPTIONAL, f"{name} is not set", advice)


def check_chromium() -> Iterator[CheckResult]:
    """Check for the browser of the browser tests."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path:
        yield CheckResult("chromium", OK, path)
    else:
        advice = "not needed unless you run the browser tests: apt install chromium"
        yield CheckResult("chromium", OPTIONAL, "not found", advice)


def check_writing() -> Iterator[CheckResult]:
    """Check that the folders in which FiftyOne keeps its data can be written."""
    defaults = {
        "FIFTYONE_DATABASE_DIR": Path.home() / ".fiftyone",
        "FIFTYONE_DEFAULT_DATASET_DIR": Path.home() / "fiftyone",
        "TMPDIR": Path(tempfile.gettempdir()),
    }
    folders = {variable: Path(os.environ.get(variable) or default) for variable, default in defaults.items()}
    for variable, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            tempfile.TemporaryFile(dir=existing).close()  # os.access would not detect a read-only disk
        except OSError as error:
            advice = f"make it writable, or set {variable} to a folder that is"
            yield CheckResult("writing", WRONG, f"{existing} cannot be written to: {error.strerror}", advice)
            return
    yield CheckResult("writing", OK, ", ".join(map(str, folders.values())))


CHECKS: tuple[Callable[[], Iterable[CheckResult]], ...] = (
    check_python,
    check_packages,
    check_opencv,
    check_mongod,
    check_fiftyone,
    check_delegation,
    check_chromium,
    check_writing,
)


def table(results: list[CheckResult], *, colour: bool) -> str:
    """Return one line per result, and below it what to do."""
    width = max(len(result.name) for result in results)
    lines = []
    for result in results:
        state = f"{result.state:<8}"
        if colour:
            state = f"\033[{COLOURS[result.state]}m{state}\033[0m"
        lines.append(f"{state}  {result.name:<{width}}  {result.found}")
        if result.advice:
            lines.append(f"{'':<8}  {'':<{width}}  → {result.advice}")
    return "\n".join(lines)


def run(args: Namespace) -> int:
    """Print the table (or JSON), and return ``FOUND_WRONG`` if any check fails."""
    results = examine()
    wrong = [result.name for result in results if result.state == WRONG]
    if args.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print(table(results, colour=sys.stdout.isatty()))
        print(f"\nTo fix: {', '.join(wrong)}." if wrong else "\nEverything needed is installed.")
    return FOUND_WRONG if wrong else DONE


command = Command(
    help="check this machine: packages, database, plugin, and what to do about each",
    run=run,
    description="Check packages, database, plugin and folders of this machine, and print what to do about each. Exit "
    "codes: 0 all that is needed is there; 1 something is missing or broken.",
    example="hnm doctor",
)
