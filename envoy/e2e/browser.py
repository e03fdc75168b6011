"""The status page in a real browser, and what can be seen and done there."""

import shutil

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rig.wait import wait_until


class Browser:
    def __init__(self, width=1280, height=900):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        size = f"--window-size={width},{height}"
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", size):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))

    def stop(self):
        self.driver.quit()

    def open(self, url, circuits):
        """Opens the page, and waits until it shows so many circuits."""
        self.driver.get(url)
        wait_until(lambda: len(self.names()) == circuits)

    def names(self):
        """Of the circuits, from top to bottom."""
        return self._texts(".name bdi")

    def states(self):
        return dict(zip(self.names(), self._texts(".state span")))

    def row(self, name):
        """What the row of a circuit says, its details included where they are open."""
        return self.driver.execute_script("return arguments[0].innerText", self._row(name))

    def _row(self, name):
        # Looked for by text, whatever characters there are in it.
        rows = self.all("table tbody")
        return rows[self.names().index(name)]

    def press(self, name, key=Keys.ENTER):
        """A key, on the button that opens the row of a circuit."""
        self._row(name).find_element(By.CSS_SELECTOR, ".name").send_keys(key)

    def offer_override(self, name):
        self.press(name)
        self._row(name).find_element(By.CSS_SELECTOR, ".override").click()

    def force(self, token, state, reason):
        """Fills in the dialog, and sends it."""
        for field, text in {"token": token, "reason": reason}.items():
            self.one(f"form [name={field}]").clear()
            self.one(f"form [name={field}]").send_keys(text)
        self.one(f"form [value={state}]").click()
        self.one("form button").click()

    def text(self, selector):
        return self.one(selector).text

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def complaints(self):
        """What the browser's console has had to complain of since the last look: errors, and breaches of the policy."""
        return [each for each in self.driver.get_log("browser") if each["level"] in ("SEVERE", "WARNING")]

    def _texts(self, selector):
        # In one call: the page may rearrange its rows between two.
        return self.run(f"return [...document.querySelectorAll('table {selector}')].map((each) => each.textContent)")
