"""assistant.yaml: what a user of the assistant gets while the model behind it is down.

The scenario "cache fallback" and the two tests of the assistant service, of the circuit breaker this project set out from:

| there | here |
|---|---|
| scenario 3 | `test_the_same_question_gets_its_last_answer` |
| `test_assistant_returns_cached_response_when_circuit_open` | `test_the_same_question_gets_its_last_answer` |
| `test_assistant_returns_excerpts_when_no_cache` | `test_a_new_question_gets_a_fixed_answer` |
"""

import pytest

from e2e.words import wait_for_state
from rig.config import example
from rig.wait import wait_until

FROM_CACHE = {"from_fallback": True, "fallback_source": "l1_cache"}
FIXED = {"from_fallback": True, "fallback_source": "excerpts"}


@pytest.fixture
def proxy(run, upstream, monkeypatch):
    monkeypatch.setenv("ASSISTANT_TOKEN", "secret")
    upstream.does("assistant/secret")
    return run(example("assistant.yaml", assistant=upstream))


def ask(proxy, question, user="anna"):
    query = {"query": question, "include_metadata": True}
    headers = {"authorization": f"Bearer {user}"}
    reply = proxy.client.post("/api/assistant/query", json=query, headers=headers)
    assert reply.status_code == 200
    return reply


def break_down(proxy, upstream, behaviour):
    upstream.does(behaviour)
    for _ in range(5):
        assert ask(proxy, "Is anybody there?").json()["metadata"] == FIXED
    return wait_for_state(proxy, "open", "assistant")


@pytest.mark.parametrize("behaviour", ["status/500", "status/401", "close"])
def test_the_same_question_gets_its_last_answer(proxy, upstream, behaviour):
    first = ask(proxy, "What is grace?")
    assert first.json()["metadata"]["from_fallback"] is False
    wait_until(lambda: proxy.metric("successes", "assistant") == 1)
    assert break_down(proxy, upstream, behaviour)["reason"] == "5 consecutive failures"
    calls = upstream.calls

    again = ask(proxy, "What is grace?")

    assert again.json() == {"answer": first.json()["answer"], "metadata": FROM_CACHE}
    assert again.headers["content-length"] == str(len(again.content))
    assert again.headers["x-circuit-breaker"] == "open"
    assert again.elapsed.total_seconds() < 0.1
    assert upstream.calls == calls


def test_a_new_question_gets_a_fixed_answer(proxy, upstream):
    break_down(proxy, upstream, "status/500")

    reply = ask(proxy, "What is grace?")

    assert "temporarily unavailable" in reply.json()["answer"]
    assert reply.json()["metadata"] == FIXED
    assert reply.elapsed.total_seconds() < 0.1


def test_an_answer_is_for_the_user_who_asked(proxy, upstream):
    ask(proxy, "What is grace?", user="anna")
    wait_until(lambda: proxy.metric("successes", "assistant") == 1)
    break_down(proxy, upstream, "status/500")

    assert ask(proxy, "What is grace?", user="anna").json()["metadata"] == FROM_CACHE
    assert ask(proxy, "What is grace?", user="bert").json()["metadata"] == FIXED


def test_while_the_circuit_is_closed_a_failure_gets_the_last_answer_too(proxy, upstream):
    ask(proxy, "What is grace?")
    wait_until(lambda: proxy.metric("successes", "assistant") == 1)
    upstream.does("status/500")

    again = ask(proxy, "What is grace?")

    assert again.json()["metadata"] == FROM_CACHE
    assert again.headers["x-circuit-breaker"] == "closed"
