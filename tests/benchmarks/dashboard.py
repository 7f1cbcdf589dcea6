"""How soon the dashboard is there: what its first view loads, and when it takes a picture.

    python tests/benchmarks/dashboard.py [--url http://127.0.0.1:8000] [--rounds 10] [--json]

Each round is a visit of a browser that has nothing in its cache. `interactive_ms` goes from the start of the navigation
to the moment from which a dropped picture is taken; `main_thread_ms` is the time that the page's own thread worked
until then, which is nearly the same however busy the machine is; `kB` is what came over the wire, headers included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Request, sync_playwright

_TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_TESTS))  # For the server of the tests, where none is named.

LIMITS = {"interactive_ms": 1000, "kB": 150}
# The stage says whether it is busy as soon as everything listens, and not before.
_WATCH = """
new MutationObserver((_, observer) => {
    if (!document.querySelector('[data-part="stage"][aria-busy]')) return;
    observer.disconnect();
    window.interactive = performance.now();
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-busy'] });
"""


def main() -> None:
    """Measure, print, and end with status 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a running dashboard; one with a tiny model is started if none is named")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--chromium", default="chromium", help="the browser's program")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    with _served(options.url) as url, sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=_path(options.chromium), args=flags)
        figures = measure(browser, url, options.rounds)
        browser.close()
    missed = [name for name, limit in LIMITS.items() if figures[name] > limit]
    if options.json:
        print(json.dumps({**figures, "limits": LIMITS, "missed": missed}, indent=2))
    else:
        for name, value in figures.items():
            print(f"{name:20} {value}{'   MISSED' if name in missed else ''}")
    sys.exit(1 if missed else 0)


def measure(browser: Browser, url: str, rounds: int) -> dict[str, float]:
    """The medians of so many visits; the first, which starts the browser's processes, does not count."""
    visits = [_visit(browser, url) for _ in range(rounds + 1)][1:]
    return {name: round(statistics.median(visit[name] for visit in visits), 1) for name in visits[0]}


def _visit(browser: Browser, url: str) -> dict[str, float]:
    context = browser.new_context()
    page = context.new_page()
    arrived: list[Request] = []
    page.on("requestfinished", lambda request: arrived.append(request))  # noqa: PLW0108  # Playwright marks what it calls.
    page.add_init_script(_WATCH)
    tools = context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url)
    page.locator('[data-part="stage"][aria-busy]').wait_for(state="attached")
    worked = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    interactive = page.evaluate("window.interactive")
    page.wait_for_load_state("networkidle")
    sizes = [request.sizes() for request in arrived]
    context.close()
    return {
        "interactive_ms": interactive,
        "main_thread_ms": worked["TaskDuration"] * 1000,
        "files": len(sizes),
        "kB": sum(size["responseBodySize"] + size["responseHeadersSize"] for size in sizes) / 1000,
    }


@contextmanager
def _served(url: str | None) -> Iterator[str]:
    if url:
        yield url
        return
    from fakes.packages import build_package  # Only on the path since this module runs.
    from support.live_serving import LiveServing  # As above.

    with (
        tempfile.TemporaryDirectory(prefix="dashboard-benchmark-") as folder,
        LiveServing(Path(folder) / "home", _TESTS.parent / "dashboard") as serving,
    ):
        serving.mlflow.register(build_package(Path(folder) / "package"), aliases=["champion"])
        serving.wait_until_ready()
        yield serving.url


def _path(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        sys.exit(f"there is no {name}: name the browser's program with --chromium")
    return found


if __name__ == "__main__":
    main()
