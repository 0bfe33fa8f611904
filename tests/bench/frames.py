"""Frames a second of the Lab's scene, drawn by a browser without a graphics card: ``python -m tests.bench.frames``.

Five servers, and so many writes on a slow network that four messages, a hundred, or two hundred are under way.
"""

import sys
import tempfile
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any

from pyraft_lab import Config, Lab, Simulation
from pyraft_lab.sim.conditions import Weather

SECONDS = 4.0
COUNT = """
(seconds) => new Promise((done) => {
  const gaps = [], flying = [], start = performance.now();
  let before = start;
  const tick = (now) => {
    gaps.push(now - before);
    before = now;
    flying.push(document.querySelectorAll(".rl-message").length);
    if (now - start < 1000 * seconds) requestAnimationFrame(tick); else done([gaps.slice(1), flying]);
  };
  requestAnimationFrame(tick);
})
"""


def run(writes: float) -> Simulation:
    """A run in whose last part ``writes`` a second are under way on a network of 0.2 to 0.3 s."""
    weather = Weather(latency=(0.2, 0.3))
    sim = Simulation(seed=7, weather=weather, config=Config(election_timeout=(2.0, 4.0), heartbeat_interval=0.7))
    sim.run_until(lambda s: s.leader)
    sim.run(1.0)
    for place in range(int(2 * writes)):
        sim.write({"op": "put", "key": "x", "value": place})
        sim.run(1 / writes)
    return sim


def measure(page: Any, address: str) -> tuple[float, float, float, float]:
    """Messages under way, and frames a second: on average, by the median gap and by the slowest twentieth."""
    page.goto(address)
    page.locator(".raftlab").focus()
    page.keyboard.press("Home")
    box = page.locator(".rl-tape svg[role=slider]").bounding_box()
    page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 20)
    page.locator(".raftlab").focus()
    page.keyboard.press(" ")
    page.wait_for_timeout(500)
    gaps, flying = page.evaluate(COUNT, SECONDS)
    slow = sorted(gaps)[-len(gaps) // 20]
    return median(flying), 1000 * len(gaps) / sum(gaps), 1000 / median(gaps), 1000 / slow


def main() -> int:
    """Print the table; 1 if a hundred messages move at less than thirty frames a second."""
    from playwright.sync_api import sync_playwright

    found = []
    with sync_playwright() as play, tempfile.TemporaryDirectory() as place:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = play.chromium.launch(executable_path=which("chromium"), args=flags)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        for writes in (1, 28, 56):
            target = Lab(run(writes)).to_html(Path(place) / "lab.html")
            found.append(measure(page, target.as_uri()))
            flying, mean, middle, slow = found[-1]
            sys.stdout.write(
                f"{flying:5.0f} messages: {mean:5.1f} frames/s (median {middle:.0f}, slowest twentieth {slow:.0f})\n"
            )
            if len(sys.argv) > 1:
                page.screenshot(path=f"{sys.argv[1]}-{writes}.png")
        browser.close()
    return 0 if all(mean >= 30 for flying, mean, _, _ in found if flying <= 110) else 1


if __name__ == "__main__":
    sys.exit(main())
