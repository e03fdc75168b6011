import time


def wait_until(condition, timeout=10, every=0.01):
    """Polls until `condition()` is true, and returns what it gave; an AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s, last seen {result!r}")
        time.sleep(every)
