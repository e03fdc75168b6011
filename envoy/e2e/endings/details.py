"""The details that more than one file expects in the access log."""

LEFT = "downstream_remote_disconnect"


def before(reason):
    return f"upstream_reset_before_response_started{{{reason}}}"


def after(reason):
    return f"upstream_reset_after_response_started{{{reason}}}"
