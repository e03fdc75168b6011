import os

import pytest

from containers.stack import Stack


@pytest.fixture(scope="session")
def stack():
    with Stack(f"fusebox-e2e-{os.getpid()}") as stack:
        yield stack


@pytest.fixture
def upstream(stack):
    stack.upstream.does("status/200")
    stack.upstream.forget_calls()
    return stack.upstream


@pytest.fixture
def proxy(stack, upstream):
    """A new Envoy: its circuits are closed."""
    stack.restart("envoy")
    return stack.proxy
