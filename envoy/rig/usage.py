"""What a process has used, as the kernel counts it."""

import pathlib

NANOSECONDS = 1e-9
KIB = 1 << 10


def cpu_seconds(pid):
    """Of all its threads. Envoy's are there from its start to its end."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) * NANOSECONDS


def memory(pid):
    """In bytes: what is resident and its own. What it maps of its file is there with any filter."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    [own] = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
    return int(own) * KIB
