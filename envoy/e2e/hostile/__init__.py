"""Clients that mean no good, or know no better, each of a kind: by the way in which it could look like a failing upstream."""

from e2e.hostile import deadlines, disconnects, http2, malformed, readers, uploads
from e2e.hostile.kind import KINDS, Target

__all__ = ["KINDS", "Target", "deadlines", "disconnects", "http2", "malformed", "readers", "uploads"]
