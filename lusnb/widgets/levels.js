// Confidence as bytes (255 = 100 %) to colours. Tables of 256 colours, so that a threshold is a table.

// The least byte that a threshold (fraction) keeps, as confidence.targets in Python: c >= t - 1/510, and
// c > 0 at t = 0.
export function leastKept(t) {
  return t === 0 ? 1 : Math.max(0, Math.ceil(255 * (t - 1 / 510 - 1e-6)));
}

// "#rrggbb" -> [r, g, b]
export function rgb(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
}

// One colour as the number that lies in memory as the bytes r, g, b, a.
export function packed([r, g, b], alpha) {
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

// Uint32Array(256): transparent below `least`, and from there opacity is confidence, or one for all (`flat`).
export function confidenceTable(colour, { least = 1, flat = false, opacity = 1 } = {}) {
  const parts = rgb(colour);
  return Uint32Array.from({ length: 256 }, (_, v) =>
    v < least ? 0 : packed(parts, Math.round(opacity * (flat ? 255 : v))));
}

// Uint32Array(256) of opaque greys: `window` greys wide around `level` become black to white, times `gain`.
export function greyTable({ level = 127.5, window = 255, gain = 1 } = {}) {
  return Uint32Array.from({ length: 256 }, (_, v) => {
    const shade = Math.min(255, Math.max(0, Math.round(gain * ((v - level) / window + 0.5) * 255)));
    return packed([shade, shade, shade], 255);
  });
}
