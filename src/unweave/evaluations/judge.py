"""A language model that rates text, where there is one: any server that speaks OpenAI's chat protocol, local or not.

No evaluation needs a judge. Where one is configured, its answers are kept on disk by question, so that a score table
can be made again without asking, and without paying, twice.
"""

import json
import os
import re
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.files import sha256_of_json, staged_file

ATTEMPTS = 4
TIMEOUT_SECONDS = 120
RATING = re.compile(r"rating\D{0,5}([0-2])\b", re.IGNORECASE)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to whatever address it names: it is an answer that is no answer."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


ASKING = urllib.request.build_opener(_NoRedirect)


def _checked_address(endpoint: str) -> str:
    """Refuse an address that cannot be asked or holds a password; it is not quoted, because it may hold one."""
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise UnweaveError("judge.endpoint: is no http address: give one such as http://localhost:8000/v1")
    if "@" in parts.netloc:
        raise UnweaveError(
            "judge.endpoint: holds a user name or password, which would be stored: leave it out and put the key into "
            "the environment variable that `key_variable` names"
        )
    return endpoint


class JudgeSettings(Strict):
    """Which judge is asked."""

    endpoint: Annotated[str, AfterValidator(_checked_address)] = Field(
        description="address of the server up to /v1, such as http://localhost:8000/v1"
    )
    model: str = Field(description="name of the model, as the server knows it")
    key_variable: str = Field(default="OPENAI_API_KEY", description="environment variable that holds the key, if any")
    cache: str = Field(default="results/judge", description="folder of the answers")
    pause: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="seconds before a second attempt, then doubled"
    )


def _entry(content: dict[str, str], answer: str) -> dict[str, str]:
    """Question and answer as they are kept, with a hash that tells whether they are damaged."""
    kept = {**content, "answer": answer}
    return {**kept, "sha256": sha256_of_json(kept)}


def _remembered(path: Path, content: dict[str, str]) -> str | None:
    """Answer that is kept at `path`; None where there is none, or a damaged one."""
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        answer: str = entry["answer"]
        return answer if entry == _entry(content, answer) else None
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _remember(path: Path, content: dict[str, str], answer: str) -> None:
    # Under a name of its own: another process may be keeping an answer to the same question.
    own = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}")
    with staged_file(own) as partial:
        partial.write_text(json.dumps(_entry(content, answer), indent=1), encoding="utf-8")
    own.replace(path)


class Judge:
    """Asks one model and remembers its answers."""

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings

    def ask(self, question: str) -> str:
        """Answer to a question, at temperature 0. One that is kept but damaged is asked for again.

        Raises
        ------
        UnweaveError
            if the server cannot be reached or answers something else.
        """
        content = {"model": self._settings.model, "question": question}
        name = sha256_of_json(content)
        path = Path(self._settings.cache) / name[:2] / f"{name}.json"
        if (answer := _remembered(path, content)) is None:
            answer = self._request(question)
            _remember(path, content, answer)
        return answer

    def _request(self, question: str) -> str:
        settings = self._settings
        body = {"model": settings.model, "temperature": 0, "messages": [{"role": "user", "content": question}]}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(settings.key_variable, "").strip():
            if not (key.isascii() and key.isprintable()):
                raise UnweaveError(f"judge: the key in {settings.key_variable} is damaged: set the variable again")
            headers["Authorization"] = f"Bearer {key}"
        url = f"{settings.endpoint.rstrip('/')}/chat/completions"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  checked in the settings
        failure = ""
        for attempt in range(ATTEMPTS):
            try:
                with ASKING.open(request, timeout=TIMEOUT_SECONDS) as response:
                    answer: Any = json.load(response)
                text = answer["choices"][0]["message"]["content"]
                if isinstance(text, str) and text.strip():
                    return text
                failure = "an answer without text"
            except urllib.error.HTTPError as error:
                failure = f"HTTP {error.code}"
                if error.code < 500 and error.code != 429:
                    break
            except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
                failure = str(error) or type(error).__name__
            time.sleep(settings.pause * 2**attempt)
        raise UnweaveError(f"judge: {url} gave no answer ({failure}): start the server or leave `judge` out")


def rating(answer: str) -> float:
    """Read the last "Rating: 0", 1 or 2 of an answer; 0 where it gives none, as the paper counts it."""
    found = RATING.findall(answer)
    return float(found[-1]) if found else 0.0


FLUENCY = """How fluent is the following fragment of text? It may begin and end abruptly; do not mind what it is about.
0: not understandable, or one thing repeated over and over. 1: understandable, with clear errors. 2: nearly flawless.
Give one short sentence of reasons, then a last line "Rating: " with 0, 1 or 2.

Fragment: {text}"""

CONCEPT = """A concept is given by words that stand for it: {words}.
How much is the following fragment about that concept? Do not mind grammar or style.
0: not at all. 1: barely, or in a forced way. 2: clearly and naturally.
Give one short sentence of reasons, then a last line "Rating: " with 0, 1 or 2.

Fragment: {text}"""


def fluency_rating(ask: Callable[[str], str], text: str) -> float:
    """Rate 0 to 2 how fluent a text is."""
    return rating(ask(FLUENCY.format(text=text)))


def concept_rating(ask: Callable[[str], str], text: str, words: list[str]) -> float:
    """Rate 0 to 2 how much a text is about what the words stand for."""
    return rating(ask(CONCEPT.format(text=text, words=", ".join(words))))
