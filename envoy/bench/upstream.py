"""What the upstream answers, by path."""

from rig.origin import answer, origin

ROOT, FAILING, CACHEABLE = "/", "/failing", "/4096"
ONE_IN_100, THREE_IN_10 = "/a-few-fail", "/many-fail"

SMALL, LARGE = "from the upstream\n", "x" * 4096


def upstream():
    return origin(
        answer(FAILING, 503, SMALL),
        answer(ONE_IN_100, 503, SMALL, percentage=1),
        answer(THREE_IN_10, 503, SMALL, percentage=30),
        answer(CACHEABLE, 200, LARGE),
        answer(ROOT, 200, SMALL),
    )
