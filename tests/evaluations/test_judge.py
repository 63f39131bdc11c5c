import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from unweave.config import EvaluationEntry, validated
from unweave.errors import UnweaveError
from unweave.evaluations import judge
from unweave.evaluations.judge import Judge, JudgeSettings, concept_rating, fluency_rating, rating
from unweave.evaluations.steering import Settings, evaluate
from unweave.files import staged_file


class Server(HTTPServer):
    """Answers chat requests with `answer`, or fails as many times as `failures` says."""

    answer, failures, status, damage = "Fine. Rating: 2", 0, 500, ""

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
        if self.server.damage == "garbage":
            self.wfile.write(b"no status line\r\n\r\n")
            return
        self.send_response(200)
        if self.server.damage == "cut":
            self.send_header("Content-Length", str(len(answer) + 1))
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


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_an_answer_that_breaks_off_or_is_no_http_is_asked_for_again(server, settings, damage):
    server.damage = damage
    with pytest.raises(UnweaveError, match=r"judge: http.*gave no answer \("):
        Judge(settings).ask("how?")
    assert len(server.questions) == 4
    server.damage = ""
    assert Judge(settings).ask("how?") == "Fine. Rating: 2"


@pytest.mark.parametrize("answer", [None, "", " \n", 2, ["Rating: 2"]])
def test_an_answer_without_text_is_none_and_is_not_remembered(server, settings, answer):
    server.answer = answer
    with pytest.raises(UnweaveError, match=r"gave no answer \(an answer without text\)"):
        Judge(settings).ask("how?")
    server.answer = "Rating: 1"
    assert Judge(settings).ask("how?") == "Rating: 1"


def flipped(content: bytes) -> bytes:
    """Turn the rating 0 into 2 by one bit."""
    place = content.index(b"Rating: 0") + len("Rating: ")
    return content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda content: content[:40],
        lambda _: b"",
        lambda _: b"[1]",
        lambda _: b"\xff" * 9,
        lambda _: b"[" * 100_000,
        lambda _: b'{"model": "m", "question": "how?", "answer": "Rating: 2"}',
        lambda content: content.replace(b"how?", b"who?"),
    ],
)
def test_a_damaged_answer_on_disk_is_asked_for_again(server, settings, tmp_path, damage):
    server.answer = "Rating: 0"
    Judge(settings).ask("how?")
    (kept,) = (tmp_path / "answers").rglob("*.json")
    sound = kept.read_bytes()
    kept.write_bytes(damage(sound))
    assert Judge(settings).ask("how?") == "Rating: 0"
    assert server.questions == ["how?"] * 2
    assert kept.read_bytes() == sound


def test_processes_that_ask_the_same_at_once_do_not_write_into_each_others_file(settings, tmp_path, monkeypatch):
    writing = []

    @contextmanager
    def staged_while_another_asks(path):
        with staged_file(path) as partial:
            writing.append(partial)
            if len(writing) == 1:
                partial.write_text("half")
                Judge(settings).ask("how?")
                assert partial.read_text() == "half"
            yield partial

    monkeypatch.setattr(judge, "staged_file", staged_while_another_asks)
    assert Judge(settings).ask("how?") == "Fine. Rating: 2"
    assert len(writing) == 2
    assert [path.suffix for path in (tmp_path / "answers").rglob("*") if path.is_file()] == [".json"]


@pytest.mark.parametrize(
    "address",
    ["file:///etc", "localhost:8000", "http://", "http://[bad", "http://h:x/v1", "http://h/v 1", "http://h/v1\n"],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(address):
    with pytest.raises(UnweaveError, match=r"judge\.endpoint: is no http address: give one such as"):
        JudgeSettings(endpoint=address, model="m")


def test_a_password_in_the_address_is_refused_and_not_told():
    endpoint = "http://user:s3cret@localhost/v1"
    with pytest.raises(UnweaveError, match=r"judge\.endpoint: holds a user name or password") as refused:
        JudgeSettings(endpoint=endpoint, model="m")
    entry = {"evaluation": "steering", "settings": {"judge": {"endpoint": endpoint, "model": "m"}}}
    with pytest.raises(UnweaveError, match=r"evaluations\.yaml: settings: an address holds a user name") as planned:
        validated(EvaluationEntry, entry, "evaluations.yaml")
    assert "s3cret" not in str(refused.value) + str(planned.value)


def test_a_damaged_key_is_refused_and_not_told(server, settings, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret\nkey")
    with pytest.raises(UnweaveError, match="judge: the key in OPENAI_API_KEY is damaged") as refused:
        Judge(settings).ask("how?")
    assert "s3cret" not in str(refused.value)
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret\n")
    Judge(settings).ask("how?")
    assert server.keys == ["Bearer s3cret"]


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
