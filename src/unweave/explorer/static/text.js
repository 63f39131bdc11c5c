"use strict";
{
  const { element } = unweave;
  const CHIPS = 6;

  // Features of a text by how near they come to their largest activation anywhere; or of one token, strongest first.
  function ranked(ofTokens, position) {
    const best = new Map();
    const chosen = position == null ? ofTokens : [ofTokens[position]];
    for (const pairs of chosen) {
      for (let i = 0; pairs && i < pairs.length; i += 2) {
        best.set(pairs[i], Math.max(best.get(pairs[i]) ?? 0, Math.abs(pairs[i + 1])));
      }
    }
    const rows = [...best.keys()];
    return (position == null ? rows.sort((a, b) => best.get(b) - best.get(a)) : rows).slice(0, CHIPS);
  }

  function codesOf(ofTokens, row) {
    return ofTokens.map((pairs) => {
      if (!pairs) return null;
      for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === row) return pairs[i + 1];
      return 0;
    });
  }

  async function card(dictionary, pieces, number, position) {
    const [table, ofTokens] = await Promise.all([unweave.table(dictionary), unweave.tokenFeatures(dictionary, number)]);
    const rows = ranked(ofTokens, position);
    const sentence = element("p", { class: "context", dir: "auto" });
    const open = element("a", {});
    const chips = rows.map((row) => element("button", { type: "button", class: "chip", "aria-pressed": false,
      on: { click: () => shade(row) } }, `${table.ids[row]}: ${unweave.name(table, row)}`));

    function shade(row) {
      const codes = row == null ? pieces.map(() => null) : codesOf(ofTokens, row);
      const tokens = pieces.map((piece, i) => unweave.token(piece, codes[i]));
      if (position != null) tokens[position]?.classList.add("peak");
      sentence.replaceChildren(...tokens);
      chips.forEach((chip, i) => chip.setAttribute("aria-pressed", rows[i] === row));
      if (row == null) return;
      open.href = unweave.featureLink(dictionary, table.ids[row]);
      open.textContent = `Open ${table.ids[row]}`;
    }

    shade(rows[0]);
    const none = rows.length ? null : element("p", { class: "muted" }, "No feature was measured or fires here.");
    return element("section", { class: "card" },
      element("h3", {}, unweave.methodTitle(dictionary)),
      element("p", { class: "over" }, `${dictionary.site}, layer ${dictionary.layer}`),
      element("div", { class: "chips" }, ...chips), none, sentence, open);
  }

  unweave.textPage = async (model, number, position) => {
    const texts = await unweave.texts(model);
    if (!texts.texts[number]) return [element("p", {}, `There is no text ${number}.`)];
    const pieces = unweave.pieces(texts, number);
    const corpus = texts.corpora.filter((one) => one.first <= number).pop();
    const title = unweave.site.titles.datasets[corpus.name] || corpus.name;
    const tokens = pieces.map((piece, i) => element("a", { class: "token pick", href: unweave.textLink(model, number, i),
      "aria-current": i === position ? "true" : null }, piece.replace(/\n+/g, "⏎ ")));
    const shown = unweave.site.dictionaries.filter((one) => one.model === model);
    const cards = await Promise.all(shown.map((dictionary) => card(dictionary, pieces, number, position)));
    const chosen = position == null ? "Choose a token to see what each dictionary makes of it."
      : `Token ${position}: the features that contribute most to it, strongest first.`;
    return [
      element("p", { class: "over" }, `${title} (${corpus.name})`),
      element("h2", {}, `text ${number}`),
      element("p", { class: "context large", dir: "auto" }, ...tokens),
      element("p", { class: "muted" }, chosen, " ",
        position == null ? null : element("a", { href: unweave.textLink(model, number) }, "Show the whole text")),
      element("div", { class: "cards" }, ...cards),
      element("p", { class: "muted" }, "A token is shaded where the feature is among the eight that contribute most to it."),
    ];
  };
}
