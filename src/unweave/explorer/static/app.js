"use strict";
{
  const { element, number, percent } = unweave;
  const find = (id) => document.getElementById(id);
  const [search, filters, sort, count, detail, chooser] =
    ["search", "filters", "sort", "count", "detail", "dictionary"].map(find);
  const site = unweave.site = unweave.received("shared/site.js");
  const fields = [...filters.querySelectorAll("input, select")];
  const NAMES = ["q", ...fields.map((field) => field.name)];
  const PAGES = ["tree", "about"]; // Of a whole dictionary, beside the list of its features.
  let dictionary = site.dictionaries[0];
  let listed = "", renders = 0;

  // --- where we are: #/features/PLACE[/ID], #/texts/MODEL[/NUMBER], #/tree/PLACE, #/about/PLACE, each with ?filters -----------------

  function route() {
    const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [view, ...parts] = path.split("/");
    const asked = new URLSearchParams(query);
    const given = new URLSearchParams(NAMES.filter((name) => asked.get(name)).map((name) => [name, asked.get(name)]));
    const at = asked.has("token") ? Number(asked.get("token")) : null;
    if (view === "texts") {
      const model = site.dictionaries.find((one) => one.model === parts[0])?.model ?? dictionary.model;
      return { view, model, item: parts[1] ? Number(parts[1]) : null, token: at, given };
    }
    const place = parts.slice(0, 5).join("/");
    const known = site.dictionaries.find((one) => one.place === place) ?? dictionary;
    if (PAGES.includes(view)) return { view, dictionary: known, model: known.model, item: null, given };
    return { view: "features", dictionary: known, model: known.model, item: parts[5] ? Number(parts[5]) : null, given };
  }

  function hash(view, where, item, given) {
    const query = String(given);
    return `#/${view}/${where}${item == null ? "" : `/${item}`}${query ? `?${query}` : ""}`;
  }

  const whereOf = (at) => (at.view === "texts" ? at.model : at.dictionary.place);
  const listOf = (at) => (PAGES.includes(at.view) ? "features" : at.view);
  const go = (item, at = route()) => { location.hash = hash(listOf(at), whereOf(at), item, at.given); };

  function setFilters() {
    const at = route();
    const given = new URLSearchParams();
    if (search.value) given.set("q", search.value);
    for (const field of fields) if (field.value) given.set(field.name, field.value);
    location.replace(hash(listOf(at), whereOf(at), at.item, given));
  }

  // --- the list ------------------------------------------------------------------------------------------------------

  const haystacks = new WeakMap();
  function haystack(table) {
    if (!haystacks.has(table)) {
      haystacks.set(table, table.ids.map((id, i) => [`#${id}`, ...table.labels[i], ...(table.promoted[i] ?? []),
        table.explanation?.[i] ?? ""].join("\n").toLowerCase()));
    }
    return haystacks.get(table);
  }

  function chosenRows(table, given) {
    const limit = (name, fallback) => (given.get(name) ? Number(given.get(name)) : fallback);
    const query = (given.get("q") ?? "").toLowerCase().trim();
    const [from, to] = [limit("from", -Infinity) / 100, limit("to", Infinity) / 100];
    const [kurtosis, score] = [limit("kurtosis", -Infinity), limit("score", -Infinity)];
    const words = haystack(table);
    const rows = [];
    for (let i = 0; i < table.ids.length; i++) {
      if (query && !words[i].includes(query)) continue;
      if (table.density[i] < from || table.density[i] > to || table.kurtosis[i] < kurtosis) continue;
      if (score > -Infinity && !((table.score?.[i] ?? -Infinity) >= score)) continue;
      rows.push(i);
    }
    const column = table[given.get("sort")];
    if (column) rows.sort((a, b) => (column[b] ?? -Infinity) - (column[a] ?? -Infinity));
    return rows;
  }

  function featureRow(table) {
    return (i) => element("div", { class: "row" },
      element("span", { class: "id" }, String(table.ids[i])),
      element("span", { class: "name", dir: "auto" }, unweave.name(table, i)),
      element("span", { class: "numbers" }, `fires ${percent(table.density[i])} · kurtosis ${number(table.kurtosis[i])}`,
        table.score?.[i] == null ? null : ` · score ${number(table.score[i])}`));
  }

  async function listFeatures(at) {
    const [table, texts] = await Promise.all([unweave.table(at.dictionary), unweave.texts(at.model)]);
    const rows = chosenRows(table, at.given);
    const sorts = ["kurtosis", "density", "largest", "score", "entropy"].filter((name) => table[name]);
    sort.replaceChildren(element("option", { value: "" }, "number"), ...sorts.map((name) => element("option", { value: name }, name)));
    sort.value = at.given.get("sort") ?? "";
    fields.find((field) => field.name === "score").parentElement.hidden = !table.score;
    const query = at.given.get("q");
    const inTexts = query ? matchingTexts(texts, query).length : 0;
    count.replaceChildren(`${rows.length} of ${table.ids.length} features`,
      ...(query ? [" · ", element("a", { href: hash("texts", at.model, null, new URLSearchParams([["q", query]])) },
        `${inTexts} texts`)] : []));
    return { items: rows, draw: featureRow(table), current: table.ids.indexOf(at.item), open: (i) => go(table.ids[i]) };
  }

  const joined = new WeakMap();
  function textStrings(texts) {
    if (!joined.has(texts)) joined.set(texts, texts.texts.map((_, i) => unweave.pieces(texts, i).join("")));
    return joined.get(texts);
  }

  function matchingTexts(texts, query) {
    const wanted = query.toLowerCase().trim();
    return [...textStrings(texts).keys()].filter((i) => textStrings(texts)[i].toLowerCase().includes(wanted));
  }

  async function listTexts(at) {
    const texts = await unweave.texts(at.model);
    const query = (at.given.get("q") ?? "").toLowerCase().trim();
    const strings = textStrings(texts);
    const items = matchingTexts(texts, query);
    const draw = (i) => {
      const from = Math.max(0, strings[i].toLowerCase().indexOf(query) - 25);
      return element("div", { class: "row" }, element("span", { class: "id" }, String(i)),
        element("span", { class: "snippet", dir: "auto" }, (from ? "… " : "") + strings[i].slice(from, from + 140)));
    };
    count.replaceChildren(`${items.length} of ${strings.length} texts`);
    return { items, draw, current: at.item ?? -1, open: (i) => go(i) };
  }

  // --- the page ------------------------------------------------------------------------------------------------------

  async function overview(at) {
    const table = await unweave.table(at.dictionary);
    const { facts } = table;
    const known = [`${facts.features} ${facts.group_size > 1 ? `groups of ${facts.group_size} codes` : "features"}, of which
      ${table.ids.length} are shown: those that fire on the ${facts.tokens.toLocaleString("en")} tokens here.`];
    if (facts.dense) known.push("Codes are never zero: a feature fires where it is among the 32 strongest.");
    if (facts.signed) known.push("Codes take both signs.");
    if (facts.bits) {
      known.push(`A token's code holds at most ${number(facts.bits.summed)} bits if features are independent, and at most
        ${number(facts.bits.dependent)} given what pairs of them share.`);
    }
    const key = (keys, does) => element("li", {}, ...keys.flatMap((one) => [element("kbd", {}, one), " "]), does);
    return [
      element("p", { class: "over" }, site.titles.models[at.model] ?? at.model),
      element("h2", {}, unweave.methodTitle(at.dictionary)),
      element("p", { class: "over" }, `${at.dictionary.site}, layer ${at.dictionary.layer}`),
      ...known.map((sentence) => element("p", {}, sentence)),
      element("p", {}, unweave.token("Shading", 100), " shows how strong a feature is on a token, relative to its largest magnitude; ",
        unweave.token("dotted blue", -100), " is below zero, ", unweave.token("grey", null),
        " was not measured: first tokens of a text, and outliers."),
      element("h3", {}, "Keys"),
      element("ul", { class: "keys" }, key(["/"], "search"), key(["j", "k", "↓", "↑"], "move in the list"),
        key(["Enter"], "open"), key(["Esc"], "back")),
    ];
  }

  function pageOf(at) {
    if (at.view === "tree") return unweave.treePage(at.dictionary);
    if (at.view === "texts") {
      return at.item == null ? [element("h2", {}, "Texts"), element("p", {}, "Choose a text to see it through every dictionary.")]
        : unweave.textPage(at.model, at.item, at.token);
    }
    return at.item == null ? overview(at) : unweave.featurePage(at.dictionary, at.item);
  }

  function header(at) {
    chooser.value = String(site.dictionaries.indexOf(dictionary));
    find("to-features").href = hash("features", dictionary.place, null, "");
    find("to-texts").href = hash("texts", at.model, null, "");
    for (const view of PAGES) find(`to-${view}`).href = hash(view, dictionary.place, null, "");
    for (const view of ["features", "texts", ...PAGES]) {
      if (at.view === view) find(`to-${view}`).setAttribute("aria-current", "page");
      else find(`to-${view}`).removeAttribute("aria-current");
    }
    filters.hidden = at.view === "texts";
    if (document.activeElement !== search) search.value = at.given.get("q") ?? "";
    for (const field of fields) if (document.activeElement !== field) field.value = at.given.get(field.name) ?? "";
  }

  async function render() {
    const ticket = ++renders;
    const at = route();
    if (at.dictionary) dictionary = at.dictionary;
    const open = at.item != null || PAGES.includes(at.view);
    try {
      header(at);
      find("to-tree").hidden = !(await unweave.table(dictionary)).facts.tree;
      const list = await (at.view === "texts" ? listTexts(at) : listFeatures(at));
      if (ticket !== renders) return;
      const key = hash(listOf(at), whereOf(at), null, at.given);
      if (key !== listed) unweave.showList(list.items, list.draw, list.open, list.current);
      else unweave.mark(list.current);
      listed = key;
      const page = await pageOf(at);
      if (ticket !== renders) return;
      detail.replaceChildren(...(open ? [element("a", { class: "back", href: key }, "← Back")] : []), ...page);
      const heading = detail.querySelector("h2")?.textContent ?? "features";
      document.title = `${heading} · Unweave`;
      const moved = detail.dataset.shown !== location.hash.split("?")[0];
      detail.dataset.shown = location.hash.split("?")[0];
      document.body.dataset.pane = open ? "detail" : "list";
      if (moved) detail.scrollTop = 0;
      document.body.dataset.ready = location.hash;
    } catch (error) {
      if (ticket !== renders) return;
      detail.replaceChildren(element("h2", {}, "Nothing to show"), element("p", {}, error.message));
      document.body.dataset.pane = "detail";
    }
  }

  // --- keys and controls ---------------------------------------------------------------------------------------------

  const typing = (node) => node.matches("input, select, textarea");

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event;
    const inDetail = target !== detail && detail.contains(target);
    if (key === "Escape") {
      if (typing(target)) return target.blur();
      if (document.body.dataset.pane === "detail") document.querySelector(".back")?.click();
      return find("rows").focus();
    }
    if (target === search && ["Enter", "ArrowDown"].includes(key)) find("rows").focus();
    else if (typing(target)) return;
    if (key === "/") search.focus();
    else if (key === "j" || (key === "ArrowDown" && !inDetail && target !== detail)) unweave.move(1);
    else if (key === "k" || (key === "ArrowUp" && !inDetail && target !== detail)) unweave.move(-1);
    else if (key === "Enter" && (target === document.body || target === detail || target.id === "rows")) unweave.openActive();
    else if (target !== search) return;
    event.preventDefault();
  }

  function choices() {
    const groups = new Map();
    site.dictionaries.forEach((one, i) => {
      const name = `${one.model}, ${one.site}, layer ${one.layer}`;
      if (!groups.has(name)) groups.set(name, element("optgroup", { label: name }));
      groups.get(name).append(element("option", { value: i }, `${unweave.methodTitle(one)} · ${one.site} ${one.layer}`));
    });
    return [...groups.values()];
  }

  chooser.replaceChildren(...choices());
  chooser.addEventListener("change", () => {
    location.hash = hash("features", site.dictionaries[Number(chooser.value)].place, null, route().given);
  });
  search.addEventListener("input", setFilters);
  filters.addEventListener("input", setFilters);
  find("clear").addEventListener("click", () => {
    search.value = "";
    for (const field of fields) field.value = "";
    setFilters();
  });
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", render);
  if (route().given.size > (route().given.has("q") ? 1 : 0)) filters.open = true;
  render();
}
