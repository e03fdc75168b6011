"""A real Prometheus as a child process, which scrapes a proxy by the prometheus.yaml that is shipped."""

import re
import subprocess

import httpx
import yaml

from rig import process
from rig.config import ENVOY_DIRECTORY
from rig.wait import wait_until

PROMETHEUS_DIRECTORY = ENVOY_DIRECTORY / "prometheus"
LISTENING = re.compile(r'msg="Listening on" address=(\S+)')


class Prometheus:
    """The shipped rules, but that alerts fire after a condition has held for a second, not for minutes."""

    def __init__(self, proxy, directory, interval="250ms"):
        directory.mkdir(parents=True)
        self._log = directory / "prometheus.log"
        config_file = directory / "prometheus.yaml"
        config_file.write_text(yaml.safe_dump(config(proxy, interval)))
        (directory / "rules.yaml").write_text(yaml.safe_dump(rules(patience="1s")))
        command = [
            "prometheus",
            f"--config.file={config_file}",
            f"--storage.tsdb.path={directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            # Or it waits 10 s before its first scrape, not 5.
            "--scrape.discovery-reload-interval=100ms",
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            address = wait_until(lambda: self._is_alive() and LISTENING.search(self.log()), timeout=60)
            self._api = httpx.Client(base_url=f"http://{address[1]}/api/v1", timeout=30)
            wait_until(lambda: self.query('up{job="envoy"} == 1'), timeout=60)
        except BaseException:
            process.stop(self._process)
            raise

    def _is_alive(self):
        assert self._process.poll() is None, self.log()
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._api.close()
        process.stop(self._process)

    def log(self):
        return self._log.read_text()

    def query(self, expression):
        """The series that the expression gives now, each as its labels and its value."""
        reply = self._api.get("/query", params={"query": expression})
        assert reply.status_code == 200, f"{expression}\n{reply.text}"
        return [(each["metric"], float(each["value"][1])) for each in reply.json()["data"]["result"]]

    def values(self, expression, by="circuit"):
        """The same, by one label."""
        return {labels.get(by): value for labels, value in self.query(expression)}

    def metrics(self):
        """The names of all that was ever scraped or recorded."""
        return set(self._api.get("/label/__name__/values").raise_for_status().json()["data"])

    def firing(self, alert):
        """For which circuits the alert fires."""
        alerts = self._api.get("/alerts").raise_for_status().json()["data"]["alerts"]
        firing = [each["labels"] for each in alerts if each["state"] == "firing"]
        return {labels.get("circuit") for labels in firing if labels["alertname"] == alert}


def config(proxy, interval):
    made = yaml.safe_load((PROMETHEUS_DIRECTORY / "prometheus.yaml").read_text())
    made["global"] = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    [envoy] = made["scrape_configs"]
    envoy["static_configs"] = [{"targets": [proxy.admin_url.removeprefix("http://")]}]
    return made


def rules(patience=None):
    """The shipped ones, with the time that each alert waits cut to `patience`."""
    made = yaml.safe_load((PROMETHEUS_DIRECTORY / "rules.yaml").read_text())
    for group in made["groups"]:
        for rule in group["rules"]:
            if patience and "for" in rule:
                rule["for"] = patience
    return made


def expressions():
    """Of all rules, by the names of these."""
    listed = [rule for group in rules()["groups"] for rule in group["rules"]]
    return {rule.get("record") or rule["alert"]: rule["expr"] for rule in listed}
