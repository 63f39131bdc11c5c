import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from unweave.errors import UnweaveError
from unweave.evaluations.judge import Judge, JudgeSettings, concept_rating, fluency_rating, rating
from unweave.evaluations.steering import Settings, evaluate


class Server(HTTPServer):
    """Answers chat requests with `answer`, or fails as many times as `failures` says."""

    answer, failures, status = "Fine. Rating: 2", 0, 500

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.questions, self.keys, self.redirect = [], [], ""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.questions.append(body["messages"][0]["content"])
        self.server.keys.append(self.headers.get("Authorization"))
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(self.server.status)
            return
        answer = json.dumps({"choices": [{"message": {"content": self.server.answer}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(server, tmp_path):
    address = f"http://127.0.0.1:{server.server_port}/v1"
    return JudgeSettings(endpoint=address, model="m", cache=str(tmp_path / "answers"), pause=0.01)


def test_a_question_is_asked_once_and_remembered(server, settings):
    assert Judge(settings).ask("how?") == "Fine. Rating: 2"
    server.answer = "something else"
    assert Judge(settings).ask("how?") == "Fine. Rating: 2"
    assert server.questions == ["how?"]
    assert Judge(settings.model_copy(update={"model": "other"})).ask("how?") == "something else"


def test_a_server_that_is_busy_is_asked_again(server, settings):
    server.failures = 2
    assert Judge(settings).ask("how?") == "Fine. Rating: 2"
    assert len(server.questions) == 3


def test_the_key_of_the_environment_is_sent(server, settings, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    Judge(settings).ask("how?")
    assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(("failures", "status", "asked"), [(9, 500, 4), (9, 401, 1)])
def test_a_server_that_fails_is_one_clear_error_and_nothing_is_remembered(server, settings, failures, status, asked):
    server.failures, server.status = failures, status
    with pytest.raises(UnweaveError, match=rf"judge: http.*gave no answer \(HTTP {status}\)"):
        Judge(settings).ask("how?")
    assert len(server.questions) == asked
    server.failures = 0
    assert Judge(settings).ask("how?") == "Fine. Rating: 2"


def test_an_address_that_is_none_is_refused(settings):
    with pytest.raises(UnweaveError, match="is no http address"):
        Judge(settings.model_copy(update={"endpoint": "file:///etc"})).ask("how?")


def test_the_last_rating_of_an_answer_counts_and_none_is_zero():
    assert rating("Could be Rating: 1. No. RATING - 2") == 2
    assert rating("I cannot say") == 0
    assert rating("Rating: 7") == 0


def test_the_text_and_the_words_are_in_the_question():
    asked = []
    fluency_rating(lambda q: asked.append(q) or "", "a fragment")
    concept_rating(lambda q: asked.append(q) or "", "a fragment", ["river", "boat"])
    assert all("a fragment" in question for question in asked)
    assert "river, boat" in asked[1]


def test_its_ratings_stand_beside_the_proxies(server, settings, make_data, make_dictionary, tiny_model_folder, find):
    asked = Settings(features=2, targets=[0.05], samples=2, tokens=5, prompt="she paid the", judge=settings)
    scores = evaluate(make_dictionary(16), make_data({}, tiny_model_folder), asked, 0)
    assert find(scores, metric="judged_steering_best_cell", label="") == 2
    assert find(scores, metric="judged_concept", label="random directions", x=0.05) == 2
    assert find(scores, metric="steering_best_cell", label="") <= 2


def test_the_key_does_not_follow_a_redirect(server, settings, monkeypatch):
    elsewhere = Server()
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    server.redirect = f"http://127.0.0.1:{elsewhere.server_port}/v1/chat/completions"
    with pytest.raises(UnweaveError, match="HTTP 302"):
        Judge(settings).ask("how?")
    assert elsewhere.keys == []
    elsewhere.shutdown()
    elsewhere.server_close()
