import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.datasets.cleaning import (
    cleaned,
    collapse_spaces,
    remove_markup,
    repair_encoding,
    repair_punctuation,
    split_sentences,
)

european = st.text(st.characters(codec="latin-1", exclude_categories=["Cc", "Cf"]) | st.sampled_from("€“”–—…šž"))


@pytest.mark.parametrize(
    ("damaged", "repaired"),
    [
        ("LomÃ©", "Lomé"),
        ("â€œNoâ€\x9d, he said â€“ for Â£3", "“No”, he said – for £3"),
        ("drieÃ«n Ã©Ã©n", "drieën één"),
        ("twee Ã\xa0 drie", "twee à drie"),
        ("a \x96 b\x85", "a – b…"),
        ("Mini\xadster\x08", "Minister"),
    ],
)
def test_wrong_decoding_is_undone(damaged: str, repaired: str) -> None:
    assert repair_encoding(damaged) == repaired


@pytest.mark.parametrize("text", ["señor, ¿está «allá»?", "Größe – „groß“", "één vóór £5", "tab\tand\nline", "ÀÉ"])
def test_sound_text_keeps_its_encoding(text: str) -> None:
    assert repair_encoding(text) == text


@given(european.filter(lambda text: all(ord(character) > 0xBF or ord(character) < 0x80 for character in text)))
def test_utf8_read_as_windows_1252_comes_back(text: str) -> None:
    misread = "".join(
        bytes([byte]).decode("cp1252", errors="replace").replace("\ufffd", chr(byte)) for byte in text.encode()
    )
    assert repair_encoding(misread) == text


@pytest.mark.parametrize(
    ("damaged", "repaired"),
    [
        ("NASA #39;s crew", "NASA's crew"),
        ("he said  quot;no quot; twice", 'he said "no" twice'),
        ("Standard  amp; Poor", "Standard & Poor"),
        ("Turning &lt;b&gt;...&lt;/b&gt; up", "Turning ... up"),
        ('&lt;A HREF="http://x.y/z?a=b"&gt;KO.N&lt;/A&gt;', "KO.N"),
        (r"\$41 billion\more", "$41 billion more"),
        ("a  amp;#151; b", "a — b"),
        ("communiqu&#233;", "communiqué"),
        ("3 < 5 and 7 > 2; fine", "3 < 5 and 7 > 2; fine"),
    ],
)
def test_escaped_markup_is_undone(damaged: str, repaired: str) -> None:
    assert collapse_spaces(remove_markup(damaged)) == repaired


@given(st.text(st.characters(codec="ascii", exclude_characters="<>\\&;", exclude_categories=["Cc"]) | st.just("é")))
def test_text_without_markup_survives_escaping(text: str) -> None:
    assert remove_markup(html.escape(text)) == text


BY_DEFINITION = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->")
markup = st.lists(
    st.sampled_from(["<!--", "-->", "<", ">", "</", "<b>", "<b ", "x", " ", "\n", "!", "--"]), max_size=30
)


@given(markup.map("".join))
def test_tags_and_comments_go_and_everything_else_stays(text: str) -> None:
    assert remove_markup(text) == BY_DEFINITION.sub("", text)


@pytest.mark.parametrize(
    ("piece", "kept"),
    [("<!--", "<!--"), ("<!-- <b> ", "<!--  "), ("<!-- <b ", "<!-- <b "), ("<a", "<a"), ("<!--\n", "<!--\n")],
)
def test_a_page_of_openings_without_an_end_is_read_in_a_moment(piece: str, kept: str) -> None:
    """Trying each opening against the rest of its line would take a quarter of an hour."""
    assert remove_markup(piece * 200_000) == kept * 200_000


@pytest.mark.parametrize(
    ("damaged", "repaired"),
    [
        ("Herren ! Als , ich ( kurz ) sage .", "Herren! Als, ich (kurz) sage."),
        ("Und dann . . . nichts", "Und dann... nichts"),
        ("Was ist das ? .", "Was ist das?"),
        ("Ja. .", "Ja."),
        ("von 3.5 und .NET", "von 3.5 und .NET"),
        ("werden _ das sage ich _ , nur", "werden – das sage ich –, nur"),
        ("snake_case", "snake_case"),
    ],
)
def test_tokenised_punctuation_is_undone(damaged: str, repaired: str) -> None:
    assert repair_punctuation(damaged) == repaired


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One here. Two here? Three!", ["One here.", "Two here?", "Three!"]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("My hon. Friend and Dr. Who met on 3. Oktober in the U.S. Senate. Fine.", 2),
        ("Esto es así. ¿Está claro? Sí.", ["Esto es así.", "¿Está claro?", "Sí."]),
        ("Das ist „gut“. Über alles.", ["Das ist „gut“.", "Über alles."]),
        ("no end and no capital. still no", 1),
        ("", []),
    ],
)
def test_sentences_end_at_a_mark_before_a_capital(text: str, sentences: list[str] | int) -> None:
    found = split_sentences(text)
    assert found == sentences if isinstance(sentences, list) else len(found) == sentences


@given(european.map(collapse_spaces))
def test_splitting_loses_nothing_but_spaces(text: str) -> None:
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def test_steps_apply_in_the_given_order() -> None:
    assert cleaned("a &lt;b&gt; \n !", ["markup", "spaces", "punctuation"]) == "a!"
    assert cleaned(" a ", []) == " a "
