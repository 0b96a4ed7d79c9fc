"""``hnm demo``: show the worst mistakes of a real detector in the FiftyOne App, with one command."""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiftyone_plugin.app.uris import uri
from fiftyone_plugin.setup.database import database_uri, drop_database, private_mongod
from fiftyone_plugin.setup.probe import ROOT
from fiftyone_plugin.store.connection import database_said
from hnm_core.commands import DONE, FOUND_WRONG, Command
from hnm_core.commands.flags import group_of

if TYPE_CHECKING:
    import fiftyone as fo

RUN_KEY = "demo"
APP_TIMEOUT = 300.0
"""Seconds to wait for the database and for the App, which start slowly on a busy machine."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    data = group_of(parser, "data")
    data.add_argument(
        "--dataset",
        choices=("digits", "quickstart"),
        default="digits",
        help="Data to mine. digits: made on this machine; quickstart: FiftyOne's own, downloaded",
    )
    data.add_argument("--images", type=int, default=500, metavar="N", help="Number of digit images to make")
    data.add_argument("--seed", type=int, default=0, metavar="N", help="Random seed of the digit images")
    data.add_argument(
        "--folder", type=Path, default=Path("hnm_demo"), metavar="DIR", help="Folder for images and export"
    )
    app = group_of(parser, "App")
    app.add_argument(
        "--port", type=int, default=5151, metavar="N", help="Port of the App; the next free one if it is taken"
    )
    app.add_argument(
        "--headless",
        action="store_true",
        default=os.environ.get("HNM_DEMO_HEADLESS", "") not in ("", "0"),
        help="Only check that the App answers, then stop; same as HNM_DEMO_HEADLESS=1",
    )


@database_said()
def run(args: argparse.Namespace) -> int:
    """Make the data, mine, export, and show the App."""

    def say(text: str) -> None:
        print(text, file=sys.stderr if args.json else sys.stdout, flush=True)

    folder = args.folder.resolve()
    own_fiftyone()
    dataset = _dataset(args, folder, say)
    report = _operator("mine_hard_negatives")(
        dataset, pred_field="predictions", gt_field="ground_truth", run_key=RUN_KEY
    )
    if (folder / "export" / "weights.csv").is_file():  # an export of an earlier demo
        shutil.rmtree(folder / "export")
    export = _operator("export_weighted_subset")(dataset, run_key=RUN_KEY, output_dir=str(folder / "export"))
    _say_results(dataset, export, say)
    answered, address = _show(dataset, args, say)
    if args.json:
        print(json.dumps({"report": report, "export": export, "app": address, "answered": answered}, default=str))
    return DONE if answered else FOUND_WRONG


def _dataset(args: argparse.Namespace, folder: Path, say: Any) -> Any:
    from fiftyone_plugin.demo.dataset import load_digits, load_quickstart, prepare_digits

    if args.dataset == "quickstart":
        say("Loading FiftyOne's quickstart dataset …")
        return load_quickstart("hnm-quickstart")
    data = prepare_digits(folder, args.images, args.seed, say)
    say("Reading images, labels and predictions into FiftyOne …")
    return load_digits(data, folder / "predictions", "hnm-digits")


def _operator(name: str) -> Any:
    import fiftyone.operators as foo

    return foo.get_operator(uri(name))


def _say_results(dataset: fo.Dataset, export: dict[str, Any], say: Any) -> None:
    from fiftyone_plugin.runs import records

    _, results = records.load(dataset, RUN_KEY)
    say(f"\n{results.summary}\n")
    for warning in results.warnings:
        say(f"note: {warning}")
    say(f"Export: {export['output_dir']} ({export['images']['train']} images, {export['train_entries']} per epoch)")
    command, *hints = export["train_with"].splitlines()
    for line in (f"{command} model=...", *hints):
        say(f"        {line}")
    for warning in export["warnings"]:
        say(f"        note: {warning}")


def _show(dataset: fo.Dataset, args: argparse.Namespace, say: Any) -> tuple[bool, str]:
    """Open the App on the hardest false positives with the panel beside them, and wait until the user stops it."""
    import fiftyone as fo

    from fiftyone_plugin.runs import records
    from fiftyone_plugin.store import views

    view = views.hardest(dataset, records.settings_of(dataset, RUN_KEY))

    def launch(port: int) -> Any:
        return fo.launch_app(view=view, spaces=side_by_side(), remote=args.headless, address="127.0.0.1", port=port)

    session = launched(launch, args.port, say)
    if session is None:
        return False, f"http://127.0.0.1:{args.port}"
    address = f"http://127.0.0.1:{session.server_port}/datasets/{dataset.name}"
    answered = answers(address)
    say(f"App:    {address} {'' if answered else f'did not answer within {APP_TIMEOUT:.0f} s'}".rstrip())
    if answered and not args.headless:
        say("        Press Ctrl-C to stop it.")
        with suppress(KeyboardInterrupt):
            session.wait(-1)
    session.close()
    return answered, address


def launched(launch: Callable[[int], Any], port: int, say: Callable[[str], None]) -> Any:
    """Start the App on the first free port from this one on; None if its server is too slow, which is said."""
    from fiftyone.core.service import ServiceListenTimeout

    from fiftyone_plugin.store.access import patient_server

    try:
        with patient_server(APP_TIMEOUT):
            return launch(free_port(port))
    except ServiceListenTimeout:
        say(f"App:    its server did not start within {APP_TIMEOUT:.0f} s: this machine is busy, try again later")
        return None


def side_by_side() -> Any:
    """Return the grid with the panel beside it.

    Each space names its active panel: without one the App would show only the tabs.
    """
    import fiftyone as fo

    panels = (fo.Panel(type="Samples", pinned=True), fo.Panel(type="hard_negatives_panel"))
    spaces = [fo.Space(children=[panel], active_child=panel.component_id) for panel in panels]
    return fo.Space(children=spaces, orientation="horizontal")


def own_fiftyone() -> None:
    """Give this process a FiftyOne that has the plugin and keeps its datasets apart from the user's.

    FiftyOne reads its environment when it is imported for the first time, so this must be called before. Its last
    access to the database is at exit; the cleanup registered here comes after it (``atexit`` runs in reverse order).
    """
    if not (ROOT / "fiftyone.yml").is_file():
        raise FileNotFoundError(
            f"no fiftyone.yml in {ROOT}: the demo needs the plugin, from a checkout (`make demo`) or from a wheel"
        )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)  # else no cleanup would run, and the database would stay
    name = f"hnm_demo_{os.getpid()}"
    stack = ExitStack()
    atexit.register(stack.close)
    aside = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hnm_demo_", ignore_cleanup_errors=True)))
    (aside / "plugins").mkdir()
    (aside / "plugins" / "hard-negative-mining").symlink_to(ROOT)
    uri = database_uri()
    if uri:
        stack.callback(drop_database, uri, name)
    else:
        uri = stack.enter_context(private_mongod(aside / "mongo", APP_TIMEOUT))
    os.environ.update(
        FIFTYONE_DATABASE_URI=uri,
        FIFTYONE_DATABASE_NAME=name,
        FIFTYONE_DATABASE_VALIDATION="false",  # `hnm doctor` checks the version of MongoDB, with advice
        FIFTYONE_DO_NOT_TRACK="true",
        FIFTYONE_LOGGING_LEVEL="WARNING",
        FIFTYONE_PLUGINS_DIR=str(aside / "plugins"),
        FIFTYONE_SHOW_PROGRESS_BARS="false",
    )


def _end(number: int, _: Any) -> None:
    """Leave as after an error, so that everything is cleaned up."""
    sys.exit(128 + number)


def free_port(wanted: int) -> int:
    """Return the wanted port of this machine, or the next one that is free."""
    for port in range(wanted, wanted + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise OSError(f"no free port from {wanted} to {wanted + 99}; choose another with --port")


def answers(address: str, timeout: float = APP_TIMEOUT) -> bool:
    """Return whether the page answers within ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=5) as page:
            return bool(page.status == 200)
        time.sleep(0.5)
    return False


command = Command(
    help="show the worst mistakes of a real detector in the App, on generated data",
    run=run,
    add_arguments=add_arguments,
    description="Make photographs with digits, predict with the bundled detector, mine its mistakes, export a weighted "
    "subset, and open the App on the hardest false positives.",
    example="hnm demo --images 200 --folder hnm_demo",
)
