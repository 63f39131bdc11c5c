"use strict";
{
  const { element, number, percent, visible } = unweave;

  function contextList(title, contexts, dictionary, texts) {
    const items = contexts.map(([text, first, peak, value, codes]) => {
      const pieces = unweave.pieces(texts, text);
      const tokens = codes.map((code, i) => unweave.token(i ? pieces[first + i] : pieces[first].trimStart(), code));
      tokens[peak].classList.add("peak");
      const more = first + codes.length < pieces.length ? " …" : "";
      return element("li", {},
        element("span", { class: "value" }, number(value)),
        element("p", { class: "context", dir: "auto" }, first ? "… " : "", ...tokens, more),
        element("a", { href: unweave.textLink(dictionary.model, text, first + peak), class: "where" }, `text ${text}`));
    });
    return element("section", {}, element("h3", {}, title), element("ol", { class: "contexts" }, ...items));
  }

  function lens([top, bottom]) {
    const list = (title, side) => element("section", {}, element("h4", {}, title), element("ol", { class: "tokens" },
      ...side.map(([token, logit]) => element("li", {}, element("code", {}, visible(token)), " ", number(logit)))));
    return element("section", {}, element("h3", {}, "Logit lens"),
      element("div", { class: "columns" }, list("Raises", top), list("Lowers", bottom)));
  }

  async function neighbours(found) {
    const rows = await Promise.all(found.map(async ([which, pairs]) => {
      const other = unweave.site.dictionaries[which];
      const table = await unweave.table(other);
      const links = [];
      for (let i = 0; i < pairs.length; i += 2) {
        const href = unweave.featureLink(other, table.ids[pairs[i]]);
        links.push(element("li", {}, element("span", { class: "value" }, number(pairs[i + 1])),
          element("a", { href }, `${table.ids[pairs[i]]}: ${unweave.name(table, pairs[i])}`)));
      }
      return element("section", {}, element("h4", {}, unweave.methodTitle(other)), element("ol", { class: "near" }, ...links));
    }));
    return element("section", {}, element("h3", {}, "Nearest in the other dictionaries, by cosine"),
      rows.length ? element("div", { class: "columns" }, ...rows) : element("p", {}, "No other dictionary of this space."));
  }

  function facts(table, row) {
    const known = [["fires on", percent(table.density[row])], ["excess kurtosis", number(table.kurtosis[row])]];
    if (table.facts.binary) known.push(["entropy", `${number(table.entropy[row])} bits`]);
    else known.push(["largest", number(table.largest[row])]);
    return element("dl", { class: "facts" }, ...known.map(([term, value]) =>
      element("div", {}, element("dt", {}, term), element("dd", {}, value))));
  }

  function ancestors(trees, id) {
    const paths = [];
    const walk = (node, above) => {
      const path = [...above, node];
      if (node.level === 0 && node.id === id) paths.push(path);
      node.children.forEach((child) => walk(child, path));
    };
    trees.forEach((tree) => walk(tree, []));
    const line = (path) => element("li", {}, path.map((node) => node.words.slice(0, 4).join(", ") || `(${node.id})`).join(" › "));
    return element("section", {}, element("h3", {}, "In the concept trees"),
      paths.length ? element("ul", {}, ...paths.map(line)) : element("p", {}, "In none of them."));
  }

  unweave.featurePage = async (dictionary, id) => {
    const table = await unweave.table(dictionary);
    const row = table.ids.indexOf(id);
    if (row < 0) return [element("p", {}, `Feature ${id} is not shown: it does nothing on these texts, or there is no such feature.`)];
    const [detail, texts] = await Promise.all([unweave.contexts(dictionary, row), unweave.texts(dictionary.model)]);
    const where = `${dictionary.site}, layer ${dictionary.layer}`;
    const kind = table.facts.group_size > 1 ? "group" : table.facts.binary ? "bit" : "feature";
    const parts = [
      element("p", { class: "over" }, `${unweave.methodTitle(dictionary)} · ${where}`),
      element("h2", {}, `${kind} ${id}`),
    ];
    if (table.explanation?.[row]) {
      parts.push(element("p", { class: "explanation" }, table.explanation[row],
        element("span", { class: "muted" }, ` holds of ${percent(table.score[row])} of other tokens`)));
    }
    parts.push(facts(table, row));
    if (!table.facts.binary) parts.push(unweave.histogram(detail.histogram));
    const [above, below] = table.facts.binary ? ["On where it is mostly off", "Off where it is mostly on"]
      : table.facts.signed ? ["Most positive", "Most negative"] : ["Strongest", "Most negative"];
    if (detail.positive.length) parts.push(contextList(above, detail.positive, dictionary, texts));
    if (detail.negative.length) parts.push(contextList(below, detail.negative, dictionary, texts));
    if (detail.group) {
      const name = ([, , , text, at]) => visible(unweave.pieces(texts, text)[at].trim());
      const href = ([, , , text, at]) => unweave.textLink(dictionary.model, text, at);
      parts.push(element("section", {}, element("h3", {}, "Tokens in the group's subspace"),
        unweave.scatter(detail.group.points, detail.group.shares, name, href)));
    }
    if (detail.lens) parts.push(lens(detail.lens));
    if (detail.neurons) {
      parts.push(element("section", {}, element("h3", {}, "Largest neurons"), element("ol", { class: "tokens" },
        ...detail.neurons.map(([neuron, weight]) => element("li", {}, `${neuron} `, element("span", { class: "muted" }, number(weight)))))));
    }
    if (table.facts.tree) parts.push(ancestors(await unweave.tree(dictionary), id));
    parts.push(await neighbours(detail.neighbours));
    return parts;
  };
}
