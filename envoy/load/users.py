"""The users, for Locust: each asks the assistant, and the same without fallbacks, and now and then for the status.

Every reply is recorded: when it was asked for, the milliseconds it took, by whom, as what in the access log, of what,
what it was, and its status.
"""

import csv
import itertools
import random

from locust import FastHttpUser, between, events, task

QUESTIONS = (
    "What is faith?",
    "Explain grace",
    "What does the Bible say about love?",
    "Tell me about redemption",
    "What is salvation?",
)
numbers = itertools.count()


@events.init_command_line_parser.add_listener
def add_arguments(parser):
    parser.add_argument("--records")
    parser.add_argument("--status-url")


@events.test_start.add_listener
def begin(environment, **_):
    file = open(environment.parsed_options.records, "w", buffering=1, newline="")
    records = csv.writer(file)
    records.writerow(["time", "milliseconds", "user", "asked", "of", "kind", "status"])

    @environment.events.request.add_listener
    def record(name, response_time, response, context, start_time, **_):
        what = kind(response, context.get("question"))
        asker = context["user"], context.get("asked")
        records.writerow([start_time, response_time, *asker, name, what, response.status_code])


def kind(response, question):
    """A reply to a question that is no answer to it is wrong, wherever it came from."""
    if not response.status_code:
        return "broken"
    if question and response.status_code == 200:
        answer = response.json()
        is_marked = answer["metadata"]["from_fallback"]
        fallback = response.headers.get("x-circuit-breaker-fallback")
        if is_marked is not bool(fallback) or (fallback != "respond" and not answer["answer"].endswith(question)):
            return "wrong"
    if fallback := response.headers.get("x-circuit-breaker-fallback"):
        return fallback
    return "rejected" if "x-circuit-breaker" in response.headers else "upstream"


class Client(FastHttpUser):
    wait_time = between(1, 3)

    def on_start(self):
        self.number = next(numbers)
        self.questions = itertools.count()

    @task(10)
    def ask_the_assistant(self):
        self.ask("assistant")

    @task(10)
    def ask_without_fallbacks(self):
        self.ask("plain")

    def ask(self, circuit):
        question = random.choice(QUESTIONS)
        asked = f"{self.number}.{next(self.questions)}"
        self.client.post(
            f"/api/{circuit}/query",
            name=circuit,
            json={"query": question, "include_metadata": True},
            headers={"authorization": f"Bearer user-{self.number}", "x-asked": asked},
            context={"user": self.number, "asked": asked, "question": question},
        )

    @task(1)
    def look_at_the_status(self):
        url = self.environment.parsed_options.status_url
        self.client.get(url, name="status", context={"user": self.number})
