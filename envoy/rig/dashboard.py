"""The Grafana dashboard that is shipped, as the queries it sends."""

import json

from rig.config import ENVOY_DIRECTORY

FILE = ENVOY_DIRECTORY / "grafana" / "circuit-breakers.json"
# What Grafana puts in place of its variables.
VARIABLES = {"$__rate_interval": "1m", "$__range": "5m", "$proxy": ".*", "$circuit": ".*"}


def queries():
    """By the titles of their panels and their own letters."""
    panels = json.loads(FILE.read_text())["panels"]
    return {f"{panel['title']} {each['refId']}": filled(each["expr"]) for panel in panels for each in panel["targets"]}


def filled(expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, f"a variable that is not known: {expression}"
    return expression
