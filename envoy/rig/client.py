"""What can be asked of an Envoy, wherever it runs."""

import re
import urllib.parse

import httpx


class Client:
    def __init__(self, url, admin_url, status_url):
        self.url, self.admin_url, self.status_url = url, admin_url, status_url
        self.client = httpx.Client(base_url=url, timeout=30)
        self.admin = httpx.Client(base_url=admin_url, timeout=30)

    def close(self):
        self.client.close()
        self.admin.close()

    def get(self, path="/", host=None, **options):
        headers = {**options.pop("headers", {}), **({"host": host} if host else {})}
        return self.client.get(path, headers=headers, **options)

    def circuits(self):
        """The status of all circuits, by name."""
        listed = self.admin.get(self.status_url).raise_for_status().json()["circuit_breakers"]
        return {each["name"]: each for each in listed}

    def circuit(self, name="backend"):
        """The status of one circuit."""
        url = f"{self.status_url}/{urllib.parse.quote(name, safe='')}"
        return self.admin.get(url).raise_for_status().json()["circuit_breaker"]

    def metric(self, metric, circuit="backend"):
        """Of the circuit; 0 where it has not been counted yet."""
        return self.stat(f"wasmcustom.circuit_breaker.{circuit}.{metric}")

    def stat(self, name):
        lines = self.admin.get("/stats", params={"filter": f"^{re.escape(name)}$"}).text
        return int(lines.rpartition(":")[2] or 0)
