"""Memory and requests a second, over time."""

from rig import picture

MIB = 1 << 20


def draw(run, file):
    times = [each.time for each in run.samples]
    with picture.svg(file, 8, 3.6) as figure:
        memory, rate = figure.subplots(2, 1, sharex=True)
        memory.plot(
            times, [each.resident / MIB for each in run.samples], color="#4c78a8", linewidth=1, label="resident"
        )
        memory.plot(
            times, [each.allocated / MIB for each in run.samples], color="#54a24b", linewidth=1, label="allocated"
        )
        memory.legend(loc="lower right", frameon=False, fontsize=7)
        memory.axvline(times[len(times) // 2], color="black", linewidth=0.6, linestyle=":")
        memory.set_ylabel("Envoy's memory, MiB")
        memory.set_ylim(0, 1.2 * max(each.resident for each in run.samples) / MIB)
        rate.plot(times[1:], rates(run.samples), color="#f58518", linewidth=1)
        rate.set_ylabel("requests a second")
        rate.set_ylim(0)
        rate.set_xlabel("seconds")
        for axes in (memory, rate):
            axes.spines[["top", "right"]].set_visible(False)


def rates(samples):
    pairs = zip(samples, samples[1:], strict=False)
    return [(after.requests - before.requests) / (after.time - before.time) for before, after in pairs]
