// Small bars in SVG, without axes: a shape beside a number that says it all.

import { svg } from "./dom.js";

export function spark(values, label, titles = []) {
  const most = Math.max(1, ...values);
  const width = 100 / values.length;

  return svg("svg", {
    class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none",
    role: "img", "aria-label": label,
  }, values.map((value, i) => {
    const height = value ? Math.max(1, value / most * 29) : 0.4;
    return svg("rect", {
      x: i * width + width * 0.12, y: 30 - height, width: width * 0.76, height,
      class: value ? null : "none",
    }, titles[i] && svg("title", {}, titles[i]));
  }));
}
