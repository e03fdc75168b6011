"""The end of each report: the machine, and whether it had something else to do."""

# Processes that wanted to run in the minute before.
BUSY = 0.5


def markdown(facts, loads):
    before, at_the_end = loads
    load = (
        f"{before:.1f} before{', so it was busy with other work' if before > BUSY else ''}, {at_the_end:.1f} at the end"
    )
    lines = (f"- {name}: {value}" for name, value in (facts | {"load of the machine (1 minute)": load}).items())
    return "\n".join(["## Measured on\n", *lines, ""])
