// What held the next call, over time: as the strip under the bars, and as the colours and the name of every wait.
// The timeline is drawn once per view into a band; a wait is a piece cut out of it, so ten thousand waits cost no more
// than ten thousand rectangles however often the reason changed.

import { hatchOf } from "./hatch.js"
import { px, timeAt } from "./view.js"

export const STRIP = 20 // pixels that the strip takes under the bars
const HEIGHT = 13
const TOP = 4
const HATCHED = 16 // the band's upper part, tall enough for any wait; under it a plain part for the thinnest
const PLAIN = 6
const LOOKS = ["", "waiting", "quota", "paused"]
const PAD = 5

export const hasStrip = (model) => model.col.hold.some((code) => model.header.held_looks[code])

// The waits of the view as a canvas, x by x; kept while the same view of the same data is asked for.
const bands = new WeakMap()

function bandOf(model, view) {
  const { x, dpr, dark, hidden, theme } = view
  const key = [x.from, x.to, x.length, dpr, dark, theme.page, [...hidden].join()].join("|")
  const kept = bands.get(model)
  if (kept?.key === key) return kept
  const canvas = document.createElement("canvas")
  canvas.width = Math.max(1, Math.round(x.length * dpr))
  canvas.height = (HATCHED + PLAIN) * dpr
  const ctx = canvas.getContext("2d")
  ctx.scale(dpr, dpr)
  const parts = partsOf(model, view)
  for (const { look, from, to } of parts) {
    const name = LOOKS[look] === "quota" ? "quota" : "waiting" // a wait in a pause, or in no hold at all, is for a worker
    if (hidden.has(name)) continue
    ctx.fillStyle = view.colours[name]
    ctx.fillRect(from, 0, to - from, HATCHED + PLAIN)
    const hatch = hatchOf(ctx, { ...view, x: { ...x, at: 0 } }, name)
    if (!hatch) continue
    ctx.fillStyle = hatch
    ctx.fillRect(from, 0, to - from, HATCHED)
  }
  const band = { key, canvas, parts, waits: asWaits(parts) }
  bands.set(model, band)
  return band
}

// [{look, from, to}] in pixels from the plot's left, without a gap: in each pixel the look that held longest.
function partsOf(model, view) {
  const { hold_at, hold } = model.col
  const { x } = view
  const pixels = Math.max(1, Math.ceil(x.length))
  const sums = new Float32Array(pixels * LOOKS.length)
  const place = (t) => Math.min(pixels, Math.max(0, px(view, t) - x.at))
  for (let k = 0; k < hold.length; k++) {
    const look = LOOKS.indexOf(model.header.held_looks[hold[k]])
    let at = place(hold_at[k])
    const end = k + 1 < hold.length ? place(hold_at[k + 1]) : pixels
    while (at < end) {
      const next = Math.min(end, Math.floor(at) + 1)
      sums[Math.floor(at) * LOOKS.length + look] += next - at
      at = next
    }
  }
  const parts = []
  for (let p = 0; p < pixels; p++) {
    let look = 0
    for (let l = 1; l < LOOKS.length; l++) if (sums[p * LOOKS.length + l] > sums[p * LOOKS.length + look]) look = l
    const last = parts[parts.length - 1]
    if (last?.look === look) last.to = p + 1
    else parts.push({ look, from: p, to: p + 1 })
  }
  return parts
}

// The same as a wait has it: time in which nothing was held is time for a worker.
function asWaits(parts) {
  const waits = []
  for (const { look, from, to } of parts) {
    const last = waits[waits.length - 1]
    if (last?.look === (look || 1)) last.to = to
    else waits.push({ look: look || 1, from, to })
  }
  return waits
}

// A piece of the band at a wait's place: between two x of the plot, so high.
export function paintWait(ctx, model, view, left, wide, y, height) {
  const { canvas } = bandOf(model, view)
  const from = Math.max(left, view.x.at)
  const width = Math.min(left + wide, view.x.at + view.x.length) - from
  if (width <= 0) return
  const dpr = view.dpr
  const first = Math.min(canvas.width - 1, Math.round((from - view.x.at) * dpr))
  const taken = Math.max(1, Math.min(canvas.width - first, Math.round(width * dpr)))
  const [top, high] = height >= 5 ? [0, Math.min(height, HATCHED)] : [HATCHED * dpr, Math.min(height, PLAIN)]
  ctx.drawImage(canvas, first, top, taken, high * dpr, from, y, width, height)
}

// The names of what a wait waited for, on each of its colours that has room for one.
export function nameWait(ctx, model, view, left, wide, middle) {
  for (const { look, from, to } of bandOf(model, view).waits) {
    const [began, ended] = [Math.max(left, view.x.at + from), Math.min(left + wide, view.x.at + to)]
    if (ended > began && !view.hidden.has(LOOKS[look])) nameHold(ctx, model, view, began, ended - began, middle)
  }
}

// What held longest in so many pixels, in a word or two.
function nameHold(ctx, model, view, left, wide, middle) {
  if (wide < 8 * PAD) return
  const name = longestIn(model, timeAt(view, left), timeAt(view, left + wide))
  if (!name) return
  ctx.font = `10.5px ${view.font}`
  const width = ctx.measureText(name).width
  if (wide < width + 4 * PAD) return
  ctx.textAlign = "left"
  ctx.textBaseline = "middle"
  ctx.lineWidth = 4
  ctx.lineJoin = "round"
  ctx.strokeStyle = view.theme.page // around the letters only: where the colour begins is to be seen
  ctx.strokeText(name, left + PAD, middle + 0.5)
  ctx.fillStyle = view.theme.text
  ctx.fillText(name, left + PAD, middle + 0.5)
}

function longestIn(model, from, to) {
  let [best, longest] = ["", 0]
  for (const [code, length] of heldFor(model, from, to)) {
    if (length > longest) [best, longest] = [model.header.held_short[code], length]
  }
  return best
}

// Under the bars: what the next call waited for, with its name where there is room.
export function paintStrip(ctx, model, view, now) {
  if (!hasStrip(model)) return
  const { header } = model
  const top = view.y.at + view.y.length + TOP
  const end = Math.min(view.x.at + view.x.length, px(view, header.live ? now : header.own_s))
  ctx.font = `11px ${view.font}`
  ctx.textBaseline = "middle"
  ctx.textAlign = "right"
  ctx.fillStyle = view.theme.quiet
  ctx.fillText("held by", view.x.at - 8, top + HEIGHT / 2 + 0.5)
  for (const { look, from, to } of bandOf(model, view).parts) {
    if (!look) continue
    const left = view.x.at + from
    const wide = Math.min(view.x.at + to, end) - left
    if (wide <= 0) continue
    if (LOOKS[look] === "paused") {
      ctx.fillStyle = view.theme.band
      ctx.fillRect(left, top, wide, HEIGHT)
    } else paintWait(ctx, model, view, left, wide, top, HEIGHT)
    if (!view.hidden.has(LOOKS[look])) nameHold(ctx, model, view, left, wide, top + HEIGHT / 2)
  }
}

// Whether a point of the plot lies on the strip.
export function onStrip(model, view, x, y) {
  const top = view.y.at + view.y.length + TOP
  return hasStrip(model) && y >= top && y <= top + HEIGHT && x >= view.x.at && x <= view.x.at + view.x.length
}

// Code -> seconds that it held within [from, to), in the order in which they began (as holds.held_in does).
export function heldFor(model, from, to) {
  const { hold_at, hold } = model.col
  const nothing = model.header.held.length - 1
  const lengths = new Map()
  let k = lastUpTo(hold_at, from)
  for (let at = from; at < to; k++) {
    const end = k + 1 < hold_at.length ? Math.min(hold_at[k + 1], to) : to
    const code = k < 0 ? nothing : hold[k]
    lengths.set(code, (lengths.get(code) ?? 0) + end - at)
    at = end
  }
  return lengths
}

// What held at an instant, since when and for how long: {words, from, to}; null where no call was ready to start.
export function holdAt(model, at, now) {
  const { hold_at, hold } = model.col
  const k = lastUpTo(hold_at, at)
  if (k < 0 || !model.header.held_looks[hold[k]]) return null
  return { words: model.header.held[hold[k]], from: hold_at[k], to: k + 1 < hold_at.length ? hold_at[k + 1] : now }
}

// Place of the last of these ascending times that is not after `at`, or -1.
export function lastUpTo(times, at) {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (times[middle] <= at) low = middle + 1
    else high = middle
  }
  return low - 1
}
