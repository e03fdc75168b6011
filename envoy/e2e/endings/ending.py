"""One way to an ending, and the register of all of them."""

import dataclasses
import typing

ENDINGS = []
# The fields of a cluster whose upstream speaks it.
HTTP2 = {"http2": True}


@dataclasses.dataclass(frozen=True)
class Ending:
    """Its name is that of a circuit, a cluster and a virtual host, which are its alone."""

    name: str
    row: str
    bring_about: typing.Callable
    # What the access log has to say in the end, so that the ending is the one that is meant; of details, how they begin.
    status: int
    details: str = "via_upstream"
    flags: str = "-"
    attempts: int | None = None
    # How many requests the access log has of it.
    requests: int = 1
    # Where the cluster leads: a place of stage.py, or nowhere.
    at: str | None = "upstream"
    # What differs from the ordinary in the cluster, the route's action, the circuit's policy, or all the routes.
    cluster: dict = dataclasses.field(default_factory=dict)
    route: dict = dataclasses.field(default_factory=dict)
    policy: dict = dataclasses.field(default_factory=dict)
    routes: list | None = None
    # Which filters of filters.py are on.
    filters: tuple = ()
    # One request before, which is not looked at.
    given: typing.Callable | None = None
    # Metrics that move besides those of the row.
    also: dict = dataclasses.field(default_factory=dict)

    @property
    def host(self):
        """Envoy follows no redirect to a host with underscores."""
        return self.name.replace("_", "-")


def ending(*logged, row=None, **needs):
    """Registers a function that brings an ending about: the row's, or that of the row by the function's name."""

    def register(function):
        name = function.__name__
        ENDINGS.append(Ending(name, row or name, function, *logged, **needs))
        return function

    return register
