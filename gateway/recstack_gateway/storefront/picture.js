// A picture for an item that has none: the same item always gets the same one, and items of one kind (titles that
// end alike) look like a family.

const PALETTES = [
  ["#fde8d7", "#f7b48b", "#e4572e", "#7a2e1d", "#fff7ef"],
  ["#dff1ec", "#9fd8c7", "#2a9d8f", "#155e63", "#fffdf5"],
  ["#e6e4fb", "#b8b1f2", "#6a5acd", "#2f2a72", "#fdfcff"],
  ["#fdeef3", "#f6b5c8", "#d6457a", "#6f1d46", "#fffafc"],
  ["#fff3cf", "#ffd56b", "#f29f05", "#8a4b08", "#fffdf4"],
  ["#e1effb", "#9cc9f0", "#2f7fc1", "#143f6b", "#fbfdff"],
  ["#ecf3dc", "#c2d98f", "#6a994e", "#2f4f2a", "#fdfff7"],
  ["#f3e9e0", "#d9bfa5", "#a4714a", "#4d3322", "#fffaf5"],
  ["#e3f4f7", "#8fd3de", "#168aad", "#0f4c5c", "#fff6ec"],
  ["#f6e8fb", "#dba8ee", "#a23ecb", "#4a1661", "#fff9ff"],
  ["#ffe9e4", "#ffb4a2", "#e5686e", "#6d3b4f", "#fff8f4"],
  ["#e8ecf1", "#b4c0cf", "#5b708b", "#273449", "#fdfdfd"],
];

function hash(text) {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ char.codePointAt(0), 0x01000193);
  value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d);
  return (value ^ (value >>> 13)) >>> 0;
}

function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const NS = "http://www.w3.org/2000/svg";

function shape(name, attributes) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) {
    element.setAttribute(key, typeof value === "number" ? Math.round(value * 10) / 10 : value);
  }
  return element;
}

const circle = (cx, cy, r, fill, more = {}) => shape("circle", { cx, cy, r, fill, ...more });
const path = (d, fill, more = {}) => shape("path", { d, fill, ...more });

function wave(top, height, phase, turns) {
  let d = `M0 240V${top}`;
  for (let x = 0; x <= 240; x += 12) {
    d += `L${x} ${(top + Math.sin(phase + (x / 240) * Math.PI * 2 * turns) * height).toFixed(1)}`;
  }
  return `${d}V240Z`;
}

const MOTIFS = [
  function hills(colours, next) {
    const parts = [circle(50 + next() * 140, 62 + next() * 40, 26 + next() * 16, colours[4])];
    [colours[1], colours[2], colours[3]].forEach((fill, layer) => {
      parts.push(path(wave(120 + layer * 36, 16 + next() * 12, next() * 6, 0.8 + next() * 0.8), fill));
    });
    return parts;
  },
  function tiles(colours, next) {
    const parts = [];
    const side = 60;
    for (let x = 0; x < 4; x += 1) {
      for (let y = 0; y < 4; y += 1) {
        const [left, top, turn] = [x * side, y * side, Math.floor(next() * 4)];
        const fill = colours[1 + Math.floor(next() * 4)];
        const corner = [[0, 0], [1, 0], [1, 1], [0, 1]][turn];
        const [cx, cy] = [left + corner[0] * side, top + corner[1] * side];
        const [sx, sy] = [corner[0] ? -side : side, corner[1] ? -side : side];
        if (next() < 0.16) parts.push(circle(left + side / 2, top + side / 2, side * 0.3, fill));
        else {
          const sweep = sx * sy > 0 ? 1 : 0;
          parts.push(path(`M${cx} ${cy}h${sx}A${side} ${side} 0 0 ${sweep} ${cx} ${cy + sy}Z`, fill));
        }
      }
    }
    return parts;
  },
  function orbits(colours, next) {
    const [cx, cy] = [90 + next() * 60, 90 + next() * 60];
    const parts = [circle(cx, cy, 118, colours[1], { opacity: 0.55 })];
    [96, 70, 44].forEach((r, ring) => {
      parts.push(circle(cx, cy, r, "none", { stroke: colours[ring === 1 ? 3 : 2], "stroke-width": 2.5 + next() * 4 }));
      const angle = next() * Math.PI * 2;
      parts.push(circle(cx + Math.cos(angle) * r, cy + Math.sin(angle) * r, 8 + next() * 9, colours[ring === 0 ? 3 : 4]));
    });
    parts.push(circle(cx, cy, 22, colours[2]));
    return parts;
  },
  function petals(colours, next) {
    const count = 6 + Math.floor(next() * 5);
    const start = next() * 60;
    const parts = [circle(120, 120, 104, colours[4], { opacity: 0.6 })];
    for (let layer = 0; layer < 2; layer += 1) {
      for (let petal = 0; petal < count; petal += 1) {
        const turn = start + ((petal + layer / 2) * 360) / count;
        parts.push(shape("ellipse", {
          cx: 120, cy: layer ? 82 : 66, rx: layer ? 15 : 21, ry: layer ? 30 : 44,
          fill: colours[layer ? 3 : 2], opacity: layer ? 0.85 : 0.8, transform: `rotate(${turn.toFixed(1)} 120 120)`,
        }));
      }
    }
    parts.push(circle(120, 120, 20, colours[1]));
    return parts;
  },
  function arches(colours, next) {
    const parts = [];
    [[66, 150], [174, 110 + next() * 50]].forEach(([cx, top], pair) => {
      [54, 40, 26, 12].forEach((r, ring) => {
        const fill = colours[[2, 4, 3, 1][(ring + pair) % 4]];
        parts.push(path(`M${cx - r} 240V${top}a${r} ${r} 0 0 1 ${2 * r} 0V240Z`, fill));
      });
    });
    parts.unshift(circle(60 + next() * 120, 56, 24 + next() * 10, colours[2], { opacity: 0.9 }));
    return parts;
  },
  function ribbons(colours, next) {
    const parts = [circle(170 - next() * 100, 74, 46, colours[4], { opacity: 0.9 })];
    const phase = next() * 6;
    for (let band = 0; band < 6; band += 1) {
      const fill = colours[[1, 2, 4, 3, 2, 1][band]];
      parts.push(path(wave(88 + band * 26, 22 - band * 2, phase + band * 0.35, 0.9), fill));
    }
    return parts;
  },
  function stones(colours, next) {
    const parts = [path("M0 196h240v44H0z", colours[1])];
    let top = 200;
    for (let stone = 0; stone < 4; stone += 1) {
      const [rx, ry] = [74 - stone * 14 - next() * 6, 24 - stone * 3];
      top -= ry;
      parts.push(shape("ellipse", { cx: 120 + (next() - 0.5) * 22, cy: top, rx, ry, fill: colours[[3, 2, 4, 2][stone]] }));
      top -= ry - 3;
    }
    parts.unshift(circle(180 - next() * 120, 60, 34, colours[4]));
    return parts;
  },
];

let gradients = 0;

// An SVG of 240 by 240; for eyes only, as the title stands beside it.
export function picture(id, title) {
  const kind = hash((title ?? id).trim().split(/\s+/).at(-1).toLowerCase());
  const next = random(hash(`${id} ${title ?? ""}`));
  const colours = PALETTES[kind % PALETTES.length];
  const svg = shape("svg", { viewBox: "0 0 240 240", "aria-hidden": "true", preserveAspectRatio: "xMidYMid slice" });
  const name = `g${(gradients += 1)}`;
  const gradient = shape("linearGradient", { id: name, x1: 0, y1: 0, x2: next() < 0.5 ? 1 : 0, y2: 1 });
  gradient.append(shape("stop", { offset: 0, "stop-color": colours[0] }));
  gradient.append(shape("stop", { offset: 1, "stop-color": colours[1] }));
  svg.append(gradient, shape("rect", { width: 240, height: 240, fill: `url(#${name})` }));
  svg.append(...MOTIFS[(kind >>> 8) % MOTIFS.length](colours, next));
  return svg;
}
