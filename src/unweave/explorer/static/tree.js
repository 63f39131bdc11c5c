"use strict";
{
  const { element } = unweave;

  function branch(node, dictionary, open) {
    const words = node.words.join(", ") || "no words";
    const weight = element("meter", { min: 0, max: 1, value: node.weight, title: `weight ${node.weight}`,
      "aria-label": "weight in the broader feature" });
    const label = node.level ? element("span", {}, words)
      : element("a", { href: unweave.featureLink(dictionary, node.id) }, words);
    const line = [weight, element("span", { class: "muted" }, ` ${node.id} `), label];
    if (!node.children.length) return element("li", {}, ...line);
    return element("li", {}, element("details", { open }, element("summary", {}, ...line),
      element("ul", { class: "tree" }, ...node.children.map((child) => branch(child, dictionary, true)))));
  }

  unweave.treePage = async (dictionary) => {
    const trees = await unweave.tree(dictionary);
    return [
      element("p", { class: "over" }, `${unweave.methodTitle(dictionary)} · ${dictionary.site}, layer ${dictionary.layer}`),
      element("h2", {}, "Concept trees"),
      element("p", { class: "muted" }, "Broad features hold finer ones, by the weight of the bar. Words are those on which a feature is strongest."),
      element("ul", { class: "tree" }, ...trees.map((tree, i) => branch(tree, dictionary, i < 3))),
    ];
  };
}
