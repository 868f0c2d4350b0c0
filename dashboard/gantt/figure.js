// Model and theme -> what Plotly draws: axes, grid, the in-flight area and its limit. The bars are ours (paint.js).

import { nice } from "./paint.js"
import { STRIP, hasStrip } from "./strip.js"

const TOP = 22
const BOTTOM = 30
const BETWEEN = 34
const LOWER = 92

export function heights(model, asked = null) {
  const { sections } = model.header
  const between = BETWEEN + (hasStrip(model) ? STRIP : 0)
  if (asked) return { upper: Math.max(60, asked - TOP - between - LOWER - BOTTOM), total: asked }
  const main = sections[sections.length - 1]
  const upper = main.kind === "rows" ? within(main.count * 24, 72, 620) : lanesHeight(main.count)
  const more = sections.length > 1 ? Math.max(34, upper * 0.12) : 0
  return { upper: upper + more, total: TOP + upper + more + between + LOWER + BOTTOM }
}

const within = (value, low, high) => Math.min(high, Math.max(low, value))
const lanesHeight = (count) => (count > 256 ? 540 : count > 64 ? 460 : within(count * 26, 78, 400))

// Where the time axis ends: 2 % past the end; while it runs in steps, so that bars grow in a frame that stands still.
export function lastTick(model, now, narrow) {
  const { live, last_s, beside_s } = model.header
  const beside = (beside_s ?? 0) * (narrow ? 1.2 : 1.08) // room for the words that say how long it took
  if (!live) return Math.max(last_s * 1.02, beside, 1e-3)
  const step = nice((now / 8) * 1000) / 1000
  return Math.max(1, beside, Math.ceil((now * 1.02 + Math.min(1.2, step * 0.4)) / step) * step)
}

export function tracesOf(model, now, until, look) {
  const { header, col, units } = model
  const end = header.live ? now : header.own_s
  const hv = { mode: "lines", hoverinfo: "skip", showlegend: false, xaxis: "x", yaxis: "y2" }
  const traces = [
    { x: [0, until], y: [0, units], mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false, xaxis: "x", yaxis: "y" },
    { ...hv, name: "in flight", x: [...col.flight_at, end], y: [...col.flight, col.flight[col.flight.length - 1] ?? 0],
      fill: "tozeroy", fillcolor: look.theme.area, line: { shape: "hv", width: 1.5, color: look.theme.area_line } },
    { ...hv, name: "max_workers", x: [...col.limit_at, header.live ? until : end], y: [...col.limit, col.limit[col.limit.length - 1] ?? 0],
      line: { shape: "hv", width: 1.25, dash: "dash", color: look.theme.quiet } },
  ]
  if (col.beside) {
    traces.push({ ...hv, name: "one at a time", x: [...col.beside_at], y: [...col.beside],
      line: { shape: "hv", width: 1.25, color: look.theme.baseline } })
  }
  return traces
}

export function layoutOf(model, look, size, memory, until, asked) {
  const { header, units } = model
  const { upper, total } = heights(model, asked)
  const inner = total - TOP - BOTTOM
  const most = Math.max(header.max_workers, ...model.col.limit, ...model.col.flight)
  const quiet = { color: look.theme.quiet, size: 11, family: look.font }
  const left = header.rows ? (size.narrow ? 46 : within(size.width * 0.2, 120, 220)) : header.sections.length > 1 ? 76 : 46
  return {
    uirevision: header.run,
    width: size.width,
    height: total,
    margin: { l: left, r: 14, t: TOP, b: BOTTOM },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: look.font, color: look.theme.text, size: 12 },
    showlegend: false,
    hovermode: false,
    dragmode: memory.dragmode ?? (size.coarse ? false : "zoom"),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: look.theme.quiet, activecolor: look.theme.text },
    xaxis: {
      anchor: "y2", ticksuffix: " s", tickfont: quiet, nticks: Math.max(3, Math.floor(size.width / 70)),
      gridcolor: look.theme.grid, zeroline: false, showline: false, fixedrange: size.coarse,
      ...ranged(memory.x, { minallowed: 0, maxallowed: until }),
    },
    yaxis: {
      domain: [1 - upper / inner, 1], showgrid: false, zeroline: false, showticklabels: false,
      fixedrange: size.coarse || model.rows <= 16,
      ...ranged(memory.y, opening(header, model), "reversed", [0, units]),
    },
    yaxis2: {
      domain: [0, LOWER / inner], range: [0, most * 1.12], fixedrange: true, tickvals: [most], tickfont: quiet,
      showgrid: false, zeroline: true, zerolinecolor: look.theme.grid,
    },
    annotations: [lowerTitle(look, LOWER / inner)],
  }
}

// A zoom that a user made is said again at each update: relayout by code is not kept by uirevision.
function ranged(zoom, limits, autorange = true, allowed = null) {
  const bounds = allowed ? { minallowed: allowed[0], maxallowed: allowed[1] } : {}
  if (zoom) return { range: zoom.slice(), autorange: false, ...bounds }
  return { autorange, autorangeoptions: limits, ...bounds }
}

function opening(header, model) {
  const shift = model.sections[model.sections.length - 1].y
  if (!header.window) return { minallowed: 0, maxallowed: model.units }
  return { minallowed: shift + header.window[0], maxallowed: shift + header.window[1] }
}

function lowerTitle(look, lower) {
  return {
    text: "in flight, and max_workers (dashed)", xref: "paper", yref: "paper", x: 0, y: lower, yshift: 5,
    xanchor: "left", yanchor: "bottom", showarrow: false,
    font: { size: 11, color: look.theme.quiet, family: look.font },
  }
}
