"""The site in a browser, opened from disk."""

import pytest

AXES = "#/features/tiny/resid/L1/axes/seed0"
MARKUP = ["<script>hacked=1</script>", "<img/src=x/onerror=hacked=1>", "</title><b>bold</b>"]


def at(page, address):
    page.wait_for(f"location.hash === {address!r}")
    page.settled()


def names(page):
    return [text.split("\n")[0] for text in page.texts(".row .name")]


def test_the_first_page_lists_the_features_of_the_first_dictionary(page):
    assert page.texts("#count") == ["16 of 16 features"]
    assert page.texts("h2") == ["Planted axes"]
    assert "bank" in names(page)[1]


def test_search_leaves_the_features_of_a_token_and_counts_texts(page):
    page.press("/")
    page.type("muddy")
    at(page, "#/features/tiny/resid/L1/axes/seed0?q=muddy")
    assert names(page)[0].startswith("muddy") or any("muddy" in name for name in names(page))
    page.click("#count a")
    at(page, "#/texts/tiny?q=muddy")
    assert all("muddy" in text for text in page.texts(".snippet"))


def test_filters_leave_features_within_their_bounds(page):
    page.open(f"{page.home}{AXES}?score=0.5")
    assert page.texts("#count") == ["1 of 16 features"]
    assert "<i>word</i>: bank" in names(page)[0]
    page.click("#clear")
    at(page, AXES)
    assert page.texts("#count") == ["16 of 16 features"]
    page.evaluate(
        "const field = document.querySelector('[name=kurtosis]'); field.value = '1e9';"
        "field.dispatchEvent(new Event('input', { bubbles: true }))"
    )
    at(page, f"{AXES}?kurtosis=1e9")
    assert page.texts("#count") == ["0 of 16 features"]


def test_rows_can_be_sorted(page):
    page.open(f"{page.home}{AXES}?sort=density")
    shares = [float(text.split()[1]) for text in page.texts(".row .numbers")]
    assert shares == sorted(shares, reverse=True)


def test_the_keyboard_moves_opens_and_goes_back(page):
    for key in ("j", "j", "k", "ArrowDown", "j"):
        page.press(key)
    page.press("Enter")
    at(page, f"{AXES}/2")
    assert page.texts("h2") == ["feature 2"]
    page.press("Escape")
    at(page, AXES)
    assert page.evaluate("document.activeElement.id") == "rows"
    page.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.press("Escape")
    page.press("k")
    page.press("Enter")
    at(page, f"{AXES}/1")


def test_a_deep_link_opens_a_feature_with_contexts_of_both_signs(page):
    page.open(f"{page.home}{AXES}/2")
    assert page.evaluate("document.querySelector('[aria-selected=true] .id').textContent") == "2"
    assert page.texts("h3")[:2] == ["Most positive", "Most negative"]
    peaks = page.evaluate(
        "[...document.querySelectorAll('.contexts')].map(list =>"
        " [...list.querySelectorAll('.peak')].map(one => one.textContent.trim()))"
    )
    assert set(peaks[0]) == {"river"}
    assert "river" not in peaks[1]
    assert page.evaluate("document.querySelectorAll('.token.positive').length") > 0
    assert page.evaluate("document.querySelectorAll('.token.unmeasured').length") > 0
    assert page.evaluate("document.querySelectorAll('.histogram rect').length") == 30
    assert len(page.texts(".tokens li")) >= 10


def test_a_neighbour_leads_to_the_same_word_in_another_dictionary(page):
    page.open(f"{page.home}{AXES}/2")
    page.click(".near a[href*='/bits/']")
    at(page, "#/features/tiny/resid/L1/bits/seed0/2")
    assert page.texts("h2") == ["bit 2"]
    assert "entropy" in page.texts(".facts")[0]


def test_a_group_shows_its_tokens_as_points(page):
    page.open(f"{page.home}#/features/tiny/resid/L1/groups/seed0/0")
    titles = page.evaluate("[...document.querySelectorAll('circle title')].map(one => one.textContent)")
    assert set(titles) == {"the", "bank", "river", "loan"}
    legend = dict(line.strip(" )").split(" (") for line in page.texts(".legend li"))
    assert {word: int(count) for word, count in legend.items()} == {word: titles.count(word) for word in set(titles)}
    before = page.evaluate("document.querySelector('circle').getAttribute('cx')")
    page.evaluate(
        "const slider = document.querySelector('.group input'); slider.value = 90;"
        "slider.dispatchEvent(new Event('input'))"
    )
    assert page.evaluate("document.querySelector('circle').getAttribute('cx')") != before


def test_a_concept_tree_leads_to_its_features(page):
    page.open(f"{page.home}#/features/tiny/resid/L1/tree/seed0/5")
    assert any("water" in text for text in page.texts("#detail section li"))
    page.click("#to-tree")
    at(page, "#/tree/tiny/resid/L1/tree/seed0")
    page.click(".tree a")
    page.wait_for("location.hash.startsWith('#/features/tiny/resid/L1/tree/seed0/')")
    page.settled()
    assert page.texts("h2")[0].startswith("feature")


def test_every_dictionary_says_what_it_is(page):
    page.open(f"{page.home}#/features/tiny/resid/L1/bits/seed0")
    page.click("#to-about")
    at(page, "#/about/tiny/resid/L1/bits/seed0")
    assert page.texts("h2") == ["Planted bits"]
    assert "16 features, of which 15 are shown" in page.texts("#detail")[0]
    assert "bits if features are independent" in page.texts("#detail")[0]


def test_one_text_is_seen_through_every_dictionary(page):
    page.open(f"{page.home}#/texts/tiny/3?token=4")
    assert page.texts(".card h3") == [f"Planted {name}" for name in ("axes", "bits", "groups", "tree", "many")]
    token = page.texts(".token.pick")[4].strip()
    assert token in page.texts(".card:nth-child(1) .chip")[0]
    page.click(".card:nth-child(1) > a")
    page.wait_for("location.hash.startsWith('#/features/')")
    page.settled()
    assert token in page.texts(".peak")[0]


def test_only_the_rows_in_view_exist(page):
    page.open(f"{page.home}#/features/tiny/resid/L1/many/seed0")
    assert page.texts("#count") == ["350 of 350 features"]
    assert page.evaluate("document.querySelectorAll('.row').length") < 60
    page.evaluate("document.getElementById('rows').scrollTop = 1e9")
    page.wait_for("[...document.querySelectorAll('.row .id')].some(one => one.textContent === '349')")
    page.open(f"{page.home}#/features/tiny/resid/L1/many/seed0/222")
    assert page.evaluate("document.querySelector('[aria-selected=true] .id').textContent") == "222"


@pytest.mark.parametrize("token", MARKUP)
def test_markup_in_a_text_is_shown_and_never_run(page, token):
    feature = 12 + MARKUP.index(token)
    page.open(f"{page.home}{AXES}/{feature}")
    assert {text.strip() for text in page.texts(".contexts .peak")[:3]} == {token}
    assert any(token in name for name in names(page))
    page.open(f"{page.home}#/texts/tiny/0")
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("document.querySelectorAll('img, b, i, article script').length") == 0


def test_an_address_loads_no_script_but_the_sites_own(page):
    page.open(f"{page.home}#/features/..%2F..%2Fevil/resid/L1/axes/seed0/1")
    page.open(f"{page.home}#/texts/../../evil/0")
    refused = page.evaluate("unweave.load('../evil.js').then(() => 'loaded', error => error.name)")
    assert refused == "TypeError"
    assert not [address for address in page.requests if "evil.js" in address]


def test_markup_cannot_enter_the_page_as_markup(page):
    outcome = page.evaluate(
        "(() => { try { document.getElementById('detail').innerHTML = '<b>x</b>'; return 'entered' }"
        " catch (error) { return error.name } })()"
    )
    assert outcome == "TypeError"
    page.errors.clear()


def test_a_phone_shows_the_list_or_the_feature_and_nothing_is_cut_off(page):
    page.resize(390, 844)
    page.open(page.home)
    assert page.evaluate("document.getElementById('detail').offsetParent") is None
    page.click(".row")
    at(page, f"{AXES}/0")
    assert page.evaluate("document.getElementById('browse').offsetParent") is None
    for address in ("", f"{AXES}/0", "#/texts/tiny/3?token=4", "#/tree/tiny/resid/L1/tree/seed0"):
        page.open(page.home + address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.getElementById('detail').scrollWidth <= innerWidth")
    page.click(".back")
    page.wait_for("document.body.dataset.pane === 'list'")


def test_every_control_has_a_name(page):
    page.open(f"{page.home}#/features/tiny/resid/L1/groups/seed0/0")
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "combobox", "link", "listbox", "option", "searchbox", "slider", "spinbutton", "textbox", "img"}
    controls = [node for node in nodes if node.get("role", {}).get("value") in roles and not node["ignored"]]
    assert len(controls) > 20
    assert not [node for node in controls if not node.get("name", {}).get("value")]
