"""Some of what Envoy does has changed from one release to the next."""

import pytest

from rig.machine import envoy_version


def is_since(release):
    """Whether it is this one, as in "1.37", or a later one."""
    return numbers(envoy_version()) >= numbers(release)


def since(release, reason):
    """Fails before. Should it pass, what is said of the releases before is no longer true."""
    return pytest.mark.xfail(not is_since(release), reason=reason, strict=True)


def numbers(release):
    major, minor, *_ = map(int, release.split("."))
    return major, minor
