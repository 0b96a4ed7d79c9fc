"""``hnm doctor``: what this machine has of what the plugin stands on, and what to do about the rest.

Every check looks at the thing itself (a file, a version, an answering server) and runs where FiftyOne is missing or
broken, too: so nothing large is imported here but inside the check that is about it.
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

from fiftyone_plugin import probe
from fiftyone_plugin.database import DatabaseError, database_uri, find_mongod, mongod_version
from hnm_core.commands import DONE, FOUND_WRONG, Command

ROOT = probe.ROOT
DISTRIBUTION = "fiftyone-hard-negative-mining"
OK, OPTIONAL, WRONG = "ok", "optional", "wrong"
COLOURS = {OK: 32, OPTIONAL: 33, WRONG: 31}

OPTIONAL_PACKAGES = {
    "torch": ("yolo", "predict with a detector, train one, or use the weights in a torch sampler"),
    "ultralytics": ("yolo", "predict with YOLO or train it"),
    "pyarrow": ("io", "read or write Parquet"),
    "matplotlib": ("plots", "draw the report"),
    "scikit-learn": ("demo", "run the demo"),
    "scikit-image": ("demo", "run the demo"),
}


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        name: what was looked at.
        state: ``ok``, ``optional`` (missing, and many never miss it) or ``wrong``.
        found: what was found.
        advice: what to do about it, empty where all is well.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def examine() -> list[Finding]:
    """Every check, in the order in which one thing stands on another."""
    return [finding for check in CHECKS for finding in check()]


def check_python() -> Iterator[Finding]:
    """The interpreter."""
    yield Finding("python", OK, f"{platform.python_version()} ({sys.executable})")


def check_packages() -> Iterator[Finding]:
    """The packages, against the versions that our own metadata asks for."""
    for name, extra in (("numpy", ""), ("fiftyone", "[app]")):
        yield _package(name, Finding(name, WRONG, "not installed", f"pip install '{DISTRIBUTION}{extra}'"))
    for name, (extra, purpose) in OPTIONAL_PACKAGES.items():
        advice = f"not needed unless you {purpose}: pip install '{DISTRIBUTION}[{extra}]'"
        yield _package(name, Finding(name, OPTIONAL, "not installed", advice))


def _package(name: str, missing: Finding) -> Finding:
    found = _version(name)
    if found is None:
        return missing
    wanted = _wanted(name)
    if wanted and not _satisfies(found, wanted):
        return Finding(name, WRONG, f"{found}, tested with {wanted}", f"pip install '{name}{wanted}'")
    return Finding(name, OK, found)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _wanted(name: str) -> str:
    """The version specifier our installed metadata has for a package; "" in a copy that was never installed."""
    try:
        wishes = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return ""
    specifiers = [wish.partition(";")[0].strip()[len(name) :] for wish in wishes if wish.startswith(name)]
    return next((specifier for specifier in specifiers if specifier[:1] in tuple("<>=!~")), "")


def _satisfies(found: str, wanted: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # comes with FiftyOne; without it there is little to compare
        return True
    return SpecifierSet(wanted).contains(found, prereleases=True)


def check_opencv() -> Iterator[Finding]:
    """The double-install trap: two distributions unpack into one ``cv2/`` folder, and the last one wins."""
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
        yield Finding("cv2", WRONG, f"does not load ({error}); {both}", advice)
        return
    if len(set(installed.values())) > 1:
        yield Finding("cv2", WRONG, f"{live} is live, but two versions share its folder: {both}", again)
    elif int(live.split(".")[0]) >= 5:
        yield Finding("cv2", WRONG, f"{live}, FiftyOne needs a release below 5; {both}", again)
    else:
        yield Finding("cv2", OK, f"{live} ({both})")


def check_mongod() -> Iterator[Finding]:
    """The database server, as a file that starts."""
    bring = f"{sys.executable} -m fiftyone_plugin.database"
    uri, mongod = database_uri(), find_mongod()
    if uri:
        yield Finding("mongod", OK, f"not used: FIFTYONE_DATABASE_URI is {_without_password(uri)}")
    elif mongod is None:
        yield Finding("mongod", WRONG, "FiftyOne has none", f"run {bring}, or set FIFTYONE_DATABASE_URI")
    else:
        try:
            yield Finding("mongod", OK, f"{mongod_version(mongod)} ({mongod})")
        except DatabaseError as error:
            yield Finding("mongod", WRONG, "does not start", str(error))


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def check_fiftyone() -> Iterator[Finding]:
    """A database that answers, and a plugin that FiftyOne finds and loads."""
    if _version("fiftyone") is None or not (database_uri() or find_mongod()):
        return  # said above
    yield from verdict(probe.ask())


def verdict(answer: probe.Answer) -> Iterator[Finding]:
    """The lines that follow from what FiftyOne said."""
    if answer.error:
        advice = "see that the server of FIFTYONE_DATABASE_URI runs" if database_uri() else "reinstall FiftyOne"
        yield Finding("database", WRONG, answer.error, advice)
        return
    yield Finding("database", OK, "answers")
    if answer.name is None:
        advice = "not needed unless you use the App: put a checkout of the project into that folder"
        yield Finding("plugin", OPTIONAL, f"not in {answer.plugins_dir}, and no fiftyone.yml in {ROOT}", advice)
        return
    absent = sorted(set(answer.declared) - set(answer.registered))
    if answer.load_errors:
        yield Finding("operators", WRONG, f"do not load: {answer.load_errors[-1]}", f"pip install -e '{ROOT}[app]'")
    elif absent:
        advice = f"see that {ROOT / 'fiftyone.yml'} and the code are of one version"
        yield Finding("operators", WRONG, f"not registered: {', '.join(absent)}", advice)
    else:
        yield Finding("operators", OK, f"all {len(answer.registered)} load")
    if answer.listed:
        yield Finding("plugin", OK, f"{answer.name} is in {answer.plugins_dir}")
    else:
        link = Path(answer.plugins_dir) / "hard-negative-mining"
        advice = f"`hnm demo` brings it along; for your own App: mkdir -p {link.parent} && ln -s {ROOT} {link}"
        yield Finding("plugin", OPTIONAL, f"not in {answer.plugins_dir}", advice)


def check_delegation() -> Iterator[Finding]:
    """Whether the App offers to run operators in the background."""
    name = "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS"
    if os.environ.get(name, "").lower() in {"true", "1"}:
        yield Finding("scheduling", OK, f"{name} is set")
    else:
        advice = f"not needed unless you run long operators in the background: export {name}=true before the App starts"
        yield Finding("scheduling", OPTIONAL, f"{name} is not set", advice)


def check_chromium() -> Iterator[Finding]:
    """The browser of the browser tests."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path:
        yield Finding("chromium", OK, path)
    else:
        advice = "not needed unless you run the browser tests: apt install chromium"
        yield Finding("chromium", OPTIONAL, "not found", advice)


def check_writing() -> Iterator[Finding]:
    """The folders that FiftyOne keeps its data in."""
    defaults = {
        "FIFTYONE_DATABASE_DIR": Path.home() / ".fiftyone",
        "FIFTYONE_DEFAULT_DATASET_DIR": Path.home() / "fiftyone",
        "TMPDIR": Path(tempfile.gettempdir()),
    }
    folders = {variable: Path(os.environ.get(variable) or default) for variable, default in defaults.items()}
    for variable, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            tempfile.TemporaryFile(dir=existing).close()  # os.access would not notice a read-only disk
        except OSError as error:
            advice = f"make it writable, or set {variable} to a folder that is"
            yield Finding("writing", WRONG, f"{existing} cannot be written to: {error.strerror}", advice)
            return
    yield Finding("writing", OK, ", ".join(map(str, folders.values())))


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (
    check_python,
    check_packages,
    check_opencv,
    check_mongod,
    check_fiftyone,
    check_delegation,
    check_chromium,
    check_writing,
)


def table(findings: list[Finding], *, colour: bool) -> str:
    """One line for each finding, and below it what to do."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        state = f"{finding.state:<8}"
        if colour:
            state = f"\033[{COLOURS[finding.state]}m{state}\033[0m"
        lines.append(f"{state}  {finding.name:<{width}}  {finding.found}")
        if finding.advice:
            lines.append(f"{'':<8}  {'':<{width}}  → {finding.advice}")
    return "\n".join(lines)


def run(args: Namespace) -> int:
    """Print the table (or JSON); ``FOUND_WRONG`` if any line is red."""
    findings = examine()
    wrong = [finding.name for finding in findings if finding.state == WRONG]
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print(table(findings, colour=sys.stdout.isatty()))
        print(f"\nTo mend: {', '.join(wrong)}." if wrong else "\nAll that is needed is here.")
    return FOUND_WRONG if wrong else DONE


command = Command(help="Check this machine: packages, database, plugin, and what to do about each", run=run)
