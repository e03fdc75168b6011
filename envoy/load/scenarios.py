"""How many users come, for how long, and when the upstream fails them."""

from dataclasses import dataclass

ANSWERS_503, RESETS, REFUSES = "status/503", "reset", "refuse"


@dataclass(frozen=True)
class Outage:
    """From and to a share of the run."""

    begins: float
    ends: float
    kind: str


@dataclass(frozen=True)
class Scenario:
    """`seconds` is how long the whole of it takes; see `shortened`."""

    name: str
    users: int
    users_a_second: int
    seconds: int
    outages: tuple[Outage, ...]

    def shortened(self, share):
        return Scenario(self.name, self.users, self.users_a_second, round(self.seconds * share), self.outages)

    def quick(self, seconds):
        """A proof that it works: everybody is there after a fifth of it."""
        return Scenario(self.name, self.users, self.users * 5 // seconds, seconds, self.outages)


SCENARIOS = (
    Scenario("normal load", 100, 10, 300, (Outage(0.6, 0.75, ANSWERS_503),)),
    Scenario("spike", 500, 50, 120, (Outage(0.4, 0.65, ANSWERS_503),)),
    Scenario(
        *("sustained load with failures", 200, 20, 600),
        (Outage(0.15, 0.3, ANSWERS_503), Outage(0.4, 0.55, RESETS), Outage(0.65, 0.8, REFUSES)),
    ),
    Scenario("a thousand users", 1000, 100, 300, (Outage(0.25, 0.45, ANSWERS_503), Outage(0.6, 0.8, RESETS))),
)
