"use strict";
{
  // A list of any length: only the rows in view exist.
  const OVERSCAN = 6;
  const box = document.getElementById("rows");
  const spacer = document.getElementById("spacer");
  let items = [], active = -1, drawn = new Map(), row = 56;

  function draw() {
    const first = Math.max(0, Math.floor(box.scrollTop / row) - OVERSCAN);
    const last = Math.min(items.length, Math.ceil((box.scrollTop + box.clientHeight) / row) + OVERSCAN);
    for (const [i, node] of drawn) if (i < first || i >= last) { node.remove(); drawn.delete(i); }
    for (let i = first; i < last; i++) {
      if (drawn.has(i)) continue;
      const node = items.draw(items[i]);
      node.id = `row-${i}`;
      node.setAttribute("role", "option");
      node.setAttribute("aria-setsize", items.length);
      node.setAttribute("aria-posinset", i + 1);
      node.setAttribute("aria-selected", i === active);
      node.style.setProperty("top", `${i * row}px`);
      node.addEventListener("click", () => { select(i); items.open(items[i]); });
      spacer.append(node);
      drawn.set(i, node);
    }
    if (active >= 0) box.setAttribute("aria-activedescendant", `row-${active}`);
    else box.removeAttribute("aria-activedescendant");
  }

  function select(i) {
    active = i;
    for (const [j, node] of drawn) node.setAttribute("aria-selected", j === i);
    if (i < 0) return draw();
    const top = i * row;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + row > box.scrollTop + box.clientHeight) box.scrollTop = top + row - box.clientHeight;
    draw();
  }

  // `draw(item)` makes a row, `open(item)` follows it; `current` is the item that is open, if it is among them.
  unweave.showList = (of, drawRow, open, current) => {
    items = Object.assign(of, { draw: drawRow, open });
    drawn.forEach((node) => node.remove());
    drawn = new Map();
    spacer.style.setProperty("height", `${items.length * row}px`);
    active = items.indexOf(current);
    if (active < 0) { box.scrollTop = 0; draw(); } else select(active);
  };

  unweave.mark = (current) => { const i = items.indexOf(current); if (i >= 0 && i !== active) select(i); };
  unweave.move = (by) => { if (items.length) select(Math.max(0, Math.min(items.length - 1, active + by))); };
  unweave.neighbouring = (by) => items[active + by];
  unweave.openActive = () => { if (items.length) { if (active < 0) select(0); items.open(items[active]); } };

  box.addEventListener("scroll", draw, { passive: true });
  window.addEventListener("resize", draw);
}
