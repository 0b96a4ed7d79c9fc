"""The browser itself: it runs, and reaches nothing but this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>Hello</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_page_reaches_this_machine_and_no_other(page: Page, port: int) -> None:
    page.goto(f"http://127.0.0.1:{port}/")
    assert page.inner_text("h1") == "Hello"
    assert page.evaluate("localStorage.getItem('fiftyone-enterprise-tooltip-seen')") == "true"
    answered = "fetch(url, {mode: 'no-cors'}).then(() => true, () => false)"
    assert page.evaluate(f"url => {answered}", f"http://127.0.0.1:{port}/")
    assert not page.evaluate(
        f"url => {answered}", f"http://localhost:{port}/"
    )  # another name stands for another machine
