"""A real Chromium without a screen, as a person's eyes and hands."""

import json
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from recstack_lab.requirements import ensure
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

NEEDED = {"chromium": "chromium", "chromedriver": "chromium-driver"}
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


class Browser:
    """One window; what it asked for and what it complained about can be read afterwards."""

    def __init__(self, folder: Path) -> None:
        ensure(NEEDED)
        options = Options()
        for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        program = shutil.which("chromedriver")
        assert program
        # With both paths given nothing is looked for elsewhere.
        options.binary_location = str(shutil.which("chromium"))
        self.driver = webdriver.Chrome(options, Service(program))
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.driver.quit()

    def look(self, width: int = 1280, height: int = 900, dark: bool = False, moving: bool = False) -> None:
        """Size of the window in CSS pixels, and what the reader prefers."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._cdp("Emulation.setDeviceMetricsOverride", **metrics)
        prefers = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "no-preference" if moving else "reduce",
        }
        features = [{"name": name, "value": value} for name, value in prefers.items()]
        self._cdp("Emulation.setEmulatedMedia", features=features)

    def open(self, url: str) -> None:
        """Load a page; what was logged before is dropped."""
        self.read_logs()
        self.requests.clear()
        self.complaints.clear()
        self.driver.get(url)

    def find(self, css: str) -> WebElement:
        """The first such element, as soon as there is one."""
        return self.wait(lambda: next(iter(self.all(css)), None), css)

    def all(self, css: str) -> list[WebElement]:
        """Such elements, those that are there now."""
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, css)
        return found

    def texts(self, css: str) -> list[str]:
        """Texts of all such elements, read at one moment."""
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        found: list[str] = self.run(script, css)
        return found

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Any, what: str, seconds: float = 10) -> Any:
        return WebDriverWait(self.driver, seconds, 0.05).until(lambda _: condition(), f"{what}: not seen")

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def focus(self) -> str:
        """What has the focus, in words."""
        found: str = self.run(
            "const e = document.activeElement;"
            "return e.id || e.dataset.mode || e.dataset.column || e.dataset.item || e.className || e.tagName"
        )
        return found

    def read_logs(self) -> None:
        """Collect addresses that were asked, and errors and warnings of the console."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        for entry in self.driver.get_log("browser"):
            if entry["level"] in {"SEVERE", "WARNING"}:
                self.complaints.append(entry["message"])

    def _cdp(self, command: str, **parameters: object) -> None:
        self.driver.execute_cdp_cmd(command, parameters)
