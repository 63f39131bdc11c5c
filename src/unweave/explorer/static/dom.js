"use strict";
{
  const SVG = "http://www.w3.org/2000/svg";
  const FAINT = 5; // Hundredths of the largest, below which a token is left unshaded.
  const NAMING = 4; // Tokens that name a feature.
  const DEEPEST = 0.85; // Opacity of the deepest shade.

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child != null));
    return node;
  }

  // Children that are strings become text, never markup.
  unweave.element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  unweave.svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

  unweave.number = (value) => {
    if (value == null) return "–";
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.001 || size >= 1e5)) return value.toExponential(1).replace("-", "−");
    return String(Number(value.toPrecision(3))).replace("-", "−");
  };

  unweave.percent = (share) => `${unweave.number(100 * share)} %`;

  // A token on its own: the white space that belongs to it would not be seen.
  unweave.visible = (token) => token.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥") || "∅";

  // A token in its text, shaded by `code`, in hundredths of the feature's largest; null where it was not measured.
  unweave.token = (piece, code) => {
    const kind = code == null ? "unmeasured" : Math.abs(code) < FAINT ? "" : code < 0 ? "negative" : "positive";
    const title = code == null ? "not measured" : `${code < 0 ? "−" : ""}${Math.abs(code)} % of the largest`;
    const text = piece.replace(/\n+/g, "⏎ ");
    const word = text.trimStart() || text;
    // White space before a word is not shaded, which would leave marks at the ends of lines.
    const space = text.slice(0, text.length - word.length);
    const node = unweave.element("span", { class: `token ${kind}`, title }, space, unweave.element("span", {}, word));
    if (code) node.style.setProperty("--shade", `${DEEPEST * Math.abs(code)}%`);
    return node;
  };

  unweave.pieces = (texts, number) => texts.texts[number].map((piece) => texts.pieces[piece]);

  unweave.methodTitle = (dictionary) => {
    const title = unweave.site.titles.methods[dictionary.method] || dictionary.method;
    return dictionary.seed ? `${title}, seed ${dictionary.seed}` : title;
  };

  unweave.featureLink = (dictionary, id) => `#/features/${dictionary.place}/${id}`;
  unweave.textLink = (model, text, position) =>
    `#/texts/${model}/${text}${position == null ? "" : `?token=${position}`}`;

  unweave.name = (table, row) => {
    const words = table.labels[row].slice(0, NAMING).map(unweave.visible).join(", ") || "no tokens";
    return table.explanation?.[row] ? `${table.explanation[row]} (${words})` : words;
  };
}
