"""How each ending in tests/endings.json is brought about: one function for each way, by what it is that ends the call."""

from e2e.endings import answers, clients, deadlines, grpc_calls, no_answers, others, slow, timeouts
