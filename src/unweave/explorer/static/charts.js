"use strict";
{
  const { svg, element, number } = unweave;
  const COLOURS = 6; // Of the commonest tokens in a scatter, in style.css.

  // Bars on a logarithmic scale: rare strong activations are what a feature is known by.
  unweave.histogram = ([low, high, counts]) => {
    const width = 360, height = 110, base = height - 18;
    const tallest = Math.log10(1 + Math.max(...counts, 1));
    const step = width / counts.length;
    const bars = counts.map((count, i) => {
      const centre = low + ((i + 0.5) / counts.length) * (high - low);
      const tall = count ? Math.max(2, (Math.log10(1 + count) / tallest) * (base - 4)) : 0;
      const box = { x: i * step + 0.5, y: base - tall, width: step - 1, height: tall };
      return svg("rect", { ...box, class: centre < 0 ? "bar negative" : "bar positive" },
        svg("title", {}, `about ${number(centre)}: ${count} tokens`));
    });
    const total = counts.reduce((sum, count) => sum + count, 0);
    const label = `Histogram of ${total} activations from ${number(low)} to ${number(high)}, logarithmic counts`;
    return svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "histogram", role: "img", "aria-label": label },
      ...bars,
      svg("line", { x1: 0, x2: width, y1: base, y2: base, class: "axis" }),
      svg("text", { x: 0, y: height - 4 }, number(low)),
      svg("text", { x: width, y: height - 4, "text-anchor": "end" }, number(high)));
  };

  // Points [x, y, z, ...] in three principal axes, turned by dragging or by the slider; `name` says what a point is.
  unweave.scatter = (points, shares, name, href) => {
    const size = 300, middle = size / 2;
    const reach = Math.max(...points.map((point) => Math.hypot(point[0], point[1], point[2])), 1e-9);
    const names = points.map(name);
    const counts = new Map();
    for (const one of names) counts.set(one, (counts.get(one) ?? 0) + 1);
    const common = [...counts].sort((a, b) => b[1] - a[1]).slice(0, COLOURS).map(([one]) => one);
    const colour = (one) => (common.includes(one) ? `colour-${common.indexOf(one)}` : "");
    const nodes = names.map((one) => svg("circle", { r: 3.5, class: `point ${colour(one)}` }, svg("title", {}, one)));
    const links = nodes.map((node, i) => svg("a", { href: href(points[i]), tabindex: -1 }, node));
    let turn = 0, tilt = 0;

    function place() {
      const [c, s, ct, st] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
      points.forEach(([x, y, z], i) => {
        const across = c * x + s * z, depth = c * z - s * x;
        nodes[i].setAttribute("cx", middle + (across / reach) * (middle - 10));
        nodes[i].setAttribute("cy", middle - ((ct * y - st * depth) / reach) * (middle - 10));
      });
    }

    const label = `${points.length} tokens in the first three principal axes of what the group writes`;
    const plot = svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "scatter", role: "img", "aria-label": label }, ...links);
    const slider = element("input", { type: "range", min: -180, max: 180, value: 0, "aria-label": "Turn the scatter" });
    slider.addEventListener("input", () => { turn = (slider.value * Math.PI) / 180; place(); });
    plot.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      turn += event.movementX / 80;
      tilt = Math.max(-1.5, Math.min(1.5, tilt + event.movementY / 80));
      slider.value = Math.round((((turn * 180) / Math.PI + 180) % 360 + 360) % 360 - 180);
      place();
    });
    plot.addEventListener("dragstart", (event) => event.preventDefault());
    place();
    const parts = shares.map((share, i) => `${"xyz"[i]} ${unweave.percent(share)}`).join(", ");
    const key = (one) => element("li", {}, svg("svg", { viewBox: "0 0 8 8", class: "dot", "aria-hidden": "true" },
      svg("circle", { cx: 4, cy: 4, r: 4, class: `point ${colour(one)}` })), ` ${one} (${counts.get(one)})`);
    return element("figure", { class: "group" }, plot, element("ul", { class: "legend" }, ...common.map(key)),
      element("figcaption", {}, "Drag to turn, or ", slider, ` Variance along the axes: ${parts}.`));
  };
}
