"""A real Chromium for the tests that drive the App; where none can be had they are skipped and say so.

Tests wait for what they expect, however slow the machine is. They drive somebody else's App all the same: one that
fails is run once more, and the report names it (R).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.browser.app import IMAGES, PATIENCE, PICTURES, Shoot, at_work, drawn, overhear

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PICTURED = ("grid", "form", "panel", "review", "compare", "watched")
"""What the documents show."""

HERE = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
NO_ADVERTISEMENT = "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run a test of this folder once more if it fails."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.flaky(reruns=1))


def _find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _install_chromium() -> str:
    """Debian's own package, where we may install it; returns why it is not there, or an empty string."""
    if not shutil.which("apt-get"):
        return "there is no apt-get to install it with"
    if os.geteuid() != 0:
        return "only root can install it (apt-get install chromium)"
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", *command],
            capture_output=True,
            text=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    return "" if done.returncode == 0 else f"apt-get could not install it: {done.stderr.strip()[-300:]}"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium, installed from Debian if need be."""
    reason = "" if _find_chromium() else _install_chromium()
    path = _find_chromium()
    if path is None:
        pytest.skip(f"no Chromium for the browser tests: {reason}")
    return path


@pytest.fixture(scope="module")  # while it lives an event loop runs, and FiftyOne's operators answer differently in one
def browser(chromium: str) -> Iterator[Browser]:
    """A running Chromium without a window."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


def _only_this_machine(route: Route) -> None:
    if urlsplit(route.request.url).hostname == "127.0.0.1":
        route.continue_()
    else:
        route.abort()


@contextmanager
def opened(browser: Browser) -> Iterator[Page]:
    """Open a page of a person who was never here, which reaches this machine only."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.add_init_script(NO_ADVERTISEMENT)
    context.route("**/*", _only_this_machine)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    with overhear(page):
        yield page
    context.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page, large enough for the grid and a panel side by side."""
    with opened(browser) as page:
        yield page


@pytest.fixture
def other_page(browser: Browser) -> Iterator[Page]:
    """The page of another person."""
    with opened(browser) as page:
        yield page


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of digits on photographs, with the bundled detector's predictions."""
    from fiftyone_plugin.demo.dataset import prepare_digits

    folder = tmp_path_factory.mktemp("digits")
    prepare_digits(folder, IMAGES, seed=0)
    return folder


@pytest.fixture(scope="session")
def digits(scenes: Path) -> Any:
    """The digits as a dataset; each test takes a copy."""
    from fiftyone_plugin.demo.dataset import load_digits

    return load_digits(scenes / "digits" / "data.yaml", scenes / "predictions", "original")


@contextmanager
def served(port: int, log: Path) -> Iterator[str]:
    """Serve the App, to nobody's session.

    A session (of ``fo.launch_app`` or ``fiftyone app launch``) that loses its server, since the server is busy, tries
    again after ten seconds, and then takes every page to its own dataset.
    """
    import fiftyone.constants as foc

    from fiftyone_plugin.demo.command import answers, free_port

    port = free_port(port)
    command = [sys.executable, str(Path(foc.SERVER_DIR) / "main.py"), "--address", "127.0.0.1", "--port", str(port)]
    with at_work(command, log):
        at = f"http://127.0.0.1:{port}/datasets"
        assert answers(at), f"the App did not answer at {at}: {log.read_text()[-2000:]}"
        yield at


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the App shows datasets: one server for all modules, for it takes many seconds to start."""
    with served(5300 + os.getpid() % 1000, tmp_path_factory.mktemp("app") / "server.log") as at:
        yield at  # a port of our own: others test, too


@pytest.fixture
def other_address(tmp_path: Path) -> Iterator[str]:
    """Where another person's App shows the same datasets."""
    with served(6400 + os.getpid() % 1000, tmp_path / "other_app.log") as at:
        yield at


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Shoot:
    """Keeps what the user sees, and as a picture of the documents if asked."""
    from PIL import Image

    def shoot(name: str) -> None:
        drawn(page)
        pictured = PICTURES and name in PICTURED
        if pictured:
            page.wait_for_timeout(1000)  # transitions: a picture is looked at, a test must not need it
        page.screenshot(path=tmp_path / f"{name}.png")
        if pictured:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            with Image.open(tmp_path / f"{name}.png") as screenshot:  # in 256 colours it takes a third of the space
                small = screenshot.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            small.save(Path(PICTURES) / f"{name}.png", optimize=True)

    return shoot
