// Marks onto a 2d context, in CSS pixels of the whole plot. Pure of state: same model, view and clock, same pixels.
//
// paintStill draws what does not move between updates (ended bars, waits, labels); paintMoving what the clock moves
// (bars in flight, open waits, the "now" line, and the words over the plot that make way for it) and the outlines, so
// that a mouse move never redraws the bars.

import { hatchOf } from "./hatch.js"
import { nameWait, paintStrip, paintWait } from "./strip.js"
import palette from "./palette.js"
import { instant, duration } from "./format.js"
import { STATUS, endOf, firstFrom, originOf, rowTop, sectionOf } from "./model.js"
import { px, py, py2, rowPixels } from "./view.js"

const FLAT_UNDER = 12 // a typical bar narrower than this is drawn in one colour: the tint would only be noise
const WAIT_HEIGHT = 0.4
const NAMED_FROM = 16 // a row as tall has room for the name of what its call waits for

export function paintStill(ctx, model, view, texts) {
  start(ctx, view)
  clipped(ctx, view, view.y, () => {
    paintPaused(ctx, model, view, 0, model.header.now_s)
    if (model.waits) paintWaits(ctx, model, view, false)
    paintBars(ctx, model, view)
    separate(ctx, model, view)
  })
  paintLabels(ctx, model, view, texts)
  if (model.header.rows) paintReused(ctx, model, view)
  paintBreaks(ctx, model, view)
  if (!model.header.live) paintStrip(ctx, model, view, model.header.last_s)
  if (!model.header.live) paintWords(ctx, model, view, [], model.header.last_s)
  paintLags(ctx, model, view)
}

export function paintMoving(ctx, model, view, { now, marked, selected }) {
  start(ctx, view)
  clipped(ctx, view, view.y, () => {
    if (model.header.live) {
      paintPaused(ctx, model, view, model.header.now_s, now) // no ended bar lies there, which it would cover
      if (model.waits) paintWaits(ctx, model, view, true, now)
      paintOpen(ctx, model, view, now)
    }
    for (const mark of selected) outline(ctx, model, view, mark, now, 2)
    if (marked !== null) outline(ctx, model, view, marked, now, 1.5)
  })
  if (model.header.live) paintStrip(ctx, model, view, now)
  if (model.header.live && model.size) {
    paintTail(ctx, model, view, now)
    paintNow(ctx, view, now)
  }
  if (model.header.live) paintWords(ctx, model, view, model.size ? nowWords(ctx, view, now) : [], now)
}

function start(ctx, view) {
  ctx.setTransform(view.dpr, 0, 0, view.dpr, 0, 0)
  ctx.clearRect(0, 0, view.width, view.height)
}

function clipped(ctx, view, axis, paint) {
  ctx.save()
  ctx.beginPath()
  ctx.rect(view.x.at, axis.at, view.x.length, axis.length)
  ctx.clip()
  paint()
  ctx.restore()
}

// Upper edge and height of a row's bar, on whole device pixels; the gap shrinks with the row.
function lying(model, view, row) {
  const { scale } = sectionOf(model, row)
  const top = py(view, rowTop(model, row))
  const full = rowPixels(view, scale)
  const gap = full > 14 ? 3 : full > 8 ? 2 : full > 3 ? 1 : 0
  const snap = (value) => Math.round(value * view.dpr) / view.dpr
  const y = snap(top + gap / 2)
  return { y, height: Math.max(1 / view.dpr, Math.min(snap(top + full - gap / 2) - y, 34)), full }
}

function visibleRows(model, view) {
  const [low, high] = [Math.min(view.y.from, view.y.to), Math.max(view.y.from, view.y.to)]
  const rows = []
  for (const section of model.sections) {
    const from = Math.max(0, Math.floor((low - section.y) / section.scale))
    const to = Math.min(section.count, Math.ceil((high - section.y) / section.scale))
    for (let r = from; r < to; r++) rows.push(section.first + r)
  }
  return rows
}

export const isFlat = (model, view) => (model.typical_s / (view.x.to - view.x.from)) * view.x.length < FLAT_UNDER

function paintBars(ctx, model, view) {
  const { start: began, first, end, status } = model.col
  const flat = isFlat(model, view)
  const brush = new Brush(ctx, view)
  for (const row of visibleRows(model, view)) {
    const place = lying(model, view, row)
    for (let k = firstFrom(model, row, view.x.from); k < model.marks.at[row + 1]; k++) {
      const i = model.marks.index[k]
      if (began[i] > view.x.to) break
      const name = STATUS[status[i]]
      if (Number.isNaN(end[i]) || view.hidden.has(name)) continue
      const left = px(view, began[i])
      const wide = px(view, began[i] + end[i]) - left
      const right = left + Math.max(wide > 3 ? wide - 1 : wide, name === "failed" || name === "retried" ? 2 : 0.75)
      const split = name === "answered" && !flat && first[i] > 0 ? Math.min(right, px(view, began[i] + first[i])) : left
      if (split > left) brush.add("first_token", left, place.y, split - left, place.height)
      if (right > split) brush.add(name, split, place.y, right - split, place.height)
    }
  }
  brush.paint(["first_token", ...palette.paintOrder])
}

// Collects rectangles by look and fills them look by look: changing the fill style is what costs.
class Brush {
  constructor(ctx, view) {
    this.ctx = ctx
    this.view = view
    this.of = {}
  }

  add(look, x, y, width, height) {
    ;(this.of[look] ??= []).push(x, y, width, height)
  }

  paint(order) {
    const { ctx, view } = this
    for (const look of order) {
      const rects = this.of[look]
      if (!rects) continue
      ctx.fillStyle = view.colours[look]
      each(rects, (x, y, w, h) => ctx.fillRect(x, y, w, h))
      const hatch = hatchOf(ctx, view, look)
      if (hatch) {
        ctx.fillStyle = hatch
        each(rects, (x, y, w, h) => w >= 4 && h >= 5 && ctx.fillRect(x, y, w, h))
      }
      if (look === "first_token") {
        ctx.strokeStyle = view.theme.outline
        ctx.lineWidth = 1
        each(rects, (x, y, w, h) => w >= 5 && h >= 8 && ctx.strokeRect(x + 0.5, y + 0.5, w - 1, h - 1))
      }
    }
  }
}

function each(rects, draw) {
  for (let k = 0; k < rects.length; k += 4) draw(rects[k], rects[k + 1], rects[k + 2], rects[k + 3])
}

// Thin, pale, hatched: waiting must not outweigh the work. In the colour of what held it. `open` picks those that still go on.
function paintWaits(ctx, model, view, open, now) {
  const { wait_from, wait_for, wait_kind } = model.col
  const shift = sectionOf(model, model.rows - 1).first
  const backoff = model.header.wait_kinds.indexOf("backoff")
  if (rowPixels(view, 1) < 3) return // a grey triangle would outweigh the thin work beside it
  const brush = new Brush(ctx, view)
  const named = []
  for (const row of visibleRows(model, view)) {
    if (row < shift) continue
    const place = lying(model, view, row)
    const call = model.callAtRow[row - shift]
    for (let k = model.waits.at[call]; k < model.waits.at[call + 1]; k++) {
      const i = model.waits.index[k]
      const backs = wait_kind[i] === backoff
      if (Number.isNaN(wait_for[i]) !== open || (backs && view.hidden.has("backoff"))) continue
      const until = open ? Math.max(now, wait_from[i]) : wait_from[i] + wait_for[i]
      const left = Math.max(px(view, wait_from[i]), view.x.at)
      const wide = px(view, until) - left - 1
      if (wide <= 0) continue
      const height = Math.max(1, Math.round(place.height * WAIT_HEIGHT))
      const y = place.y + Math.round((place.height - height) / 2)
      if (backs) brush.add("backoff", left, y, wide, height)
      else paintWait(ctx, model, view, left, wide, y, height)
      if (!backs && place.full >= NAMED_FROM) named.push([left, wide, y + height / 2])
    }
  }
  brush.paint(["backoff"])
  for (const each of named) nameWait(ctx, model, view, ...each)
}

// In flight: the end stays open and is bright at "now". Before the first token it is as pale as there.
function paintOpen(ctx, model, view, now) {
  if (view.hidden.has("running")) return
  const { start: began, first, row } = model.col
  for (const i of model.open) {
    const place = lying(model, view, row[i])
    if (place.y > view.y.at + view.y.length || place.y + place.height < view.y.at) continue
    const left = px(view, began[i])
    const right = Math.max(left + 2, px(view, endOf(model, i, now)))
    const pale = model.header.streamed && !(first[i] > 0)
    const split = pale ? right : first[i] > 0 ? px(view, began[i] + first[i]) : left
    ctx.fillStyle = view.colours.first_token
    ctx.fillRect(left, place.y, split - left, place.height)
    ctx.fillStyle = view.colours.running
    ctx.fillRect(split, place.y, right - split, place.height)
    ctx.fillStyle = view.dark ? "#e6f2ff" : "#0b4a8f"
    ctx.fillRect(Math.max(left, right - 2), place.y, 2, place.height)
  }
}

function outline(ctx, model, view, i, now, wide) {
  const place = lying(model, view, model.col.row[i])
  const left = px(view, model.col.start[i])
  const width = Math.max(3, px(view, endOf(model, i, now)) - left - 1)
  ctx.lineWidth = wide + 2
  ctx.strokeStyle = view.theme.page
  ctx.strokeRect(left - 1, place.y - 1, width + 2, place.height + 2)
  ctx.lineWidth = wide
  ctx.strokeStyle = view.theme.text
  ctx.strokeRect(left - 1, place.y - 1, width + 2, place.height + 2)
}

// Two runs on one time axis: a thin rule between them, and how long each took, where it ended.
function separate(ctx, model, view) {
  if (model.sections.length < 2) return
  const [above, below] = model.sections
  const [top, bottom] = [py(view, above.y + above.count * above.scale), py(view, below.y)]
  ctx.fillStyle = view.theme.grid
  ctx.fillRect(view.x.at, Math.round((top + bottom) / 2), view.x.length, 1)
  ctx.fillStyle = view.theme.text
  ctx.textBaseline = "middle"
  ctx.textAlign = "left"
  ctx.font = `600 12px ${view.font}`
  const { live, own_s, beside_s } = model.header
  const middle = (section) => py(view, section.y + (section.count * section.scale) / 2)
  if (!live) ctx.fillText(duration(own_s), px(view, own_s) + 8, middle(below))
  ctx.fillText(duration(beside_s), px(view, beside_s) + 8, middle(above))
}

function paintLabels(ctx, model, view, texts) {
  ctx.textAlign = "right"
  ctx.textBaseline = "middle"
  const right = view.x.at - 8
  for (const section of model.sections) {
    const full = rowPixels(view, section.scale)
    const every = nice(13 / full)
    const prompts = section.kind === "rows"
    for (let r = 0; r < section.count; r++) {
      const y = py(view, section.y + (r + 0.5) * section.scale)
      if (y < view.y.at + 3 || y > view.y.at + view.y.length - 3) continue
      const call = prompts ? model.callAtRow[r] : r
      if (every > 1 && (r + 1) % every !== 0 && !(r === 0 && every < 3)) continue
      ctx.font = `11px ${view.font}`
      ctx.fillStyle = view.theme.quiet
      if (section.kind === "baseline") ctx.fillText("1 at a time", right, y)
      else if (!prompts) ctx.fillText(String(r + 1), right, y)
      else if (every > 1 || view.narrow || !texts) ctx.fillText(`#${call + 1}`, right, y)
      else ctx.fillText(fitted(ctx, `${texts.prefix ? "…" : ""}${texts.lines[call] ?? ""}`, right - 8), right, y)
    }
  }
}

// A prompt that has its answer from another call has no bar: words stand in its row.
function paintReused(ctx, model, view) {
  const { first } = sectionOf(model, model.rows - 1)
  ctx.font = `10.5px ${view.font}`
  ctx.textAlign = "left"
  ctx.textBaseline = "middle"
  for (const row of visibleRows(model, view)) {
    const place = lying(model, view, row)
    const call = model.callAtRow[row - first]
    if (row < first || place.full < 12 || !model.reused[call]) continue
    const words = originOf(model, call)
    ctx.fillStyle = view.theme.page
    ctx.fillRect(view.x.at, place.y, ctx.measureText(words).width + 10, place.height)
    ctx.fillStyle = view.theme.quiet
    ctx.fillText(words, view.x.at + 5, place.y + place.height / 2)
  }
}

// The smallest of 1, 2, 5, 10, 20 ... that is not below `least`.
export function nice(least) {
  for (let power = 1; power < 1e7; power *= 10) {
    for (const step of [1, 2, 5]) if (step * power >= least) return step * power
  }
  return 1e7
}

const cuts = new Map()

function fitted(ctx, text, width) {
  const key = `${ctx.font}|${width}|${text}`
  if (!cuts.has(key)) {
    if (cuts.size > 3000) cuts.clear()
    let shown = text
    let length = Math.min(text.length, Math.ceil(width / 3))
    while (length > 1 && ctx.measureText(shown).width > width) {
      length -= Math.max(1, Math.floor(length / 20))
      shown = `${text.slice(0, length).trimEnd()}…`
    }
    cuts.set(key, shown)
  }
  return cuts.get(key)
}

// Where the run was paused, as far as it lies within these instants; one that goes on ends at the later of them.
function paintPaused(ctx, model, view, since, until) {
  ctx.fillStyle = view.theme.band
  for (const [from, to] of model.header.paused) {
    const [left, right] = [Math.max(from, since), Math.min(to ?? until, until)].map((at) => Math.round(px(view, at)))
    if (right > left) ctx.fillRect(left, view.y.at, right - left, view.y.length)
  }
}

function paintBreaks(ctx, model, view) {
  for (const { at_s } of model.header.breaks) {
    const x = Math.round(px(view, at_s)) + 0.5
    if (x >= view.x.at && x <= view.x.at + view.x.length) dashed(ctx, view, x, view.theme.quiet)
  }
}

// Words over the plot; those that would lie on others are left out. "now" is there, a break says more than a pause.
function paintWords(ctx, model, view, taken, now) {
  const { breaks, paused } = model.header
  const far = view.x.at + view.x.length
  for (const { at_s, idle_s, purpose } of breaks) {
    const x = px(view, at_s)
    if (x < view.x.at || x > far) continue
    above(ctx, view, x, `${purpose === "retry" ? "sent again" : "resumed"} ${duration(idle_s)} later`, taken)
  }
  for (const [from, to] of paused) {
    const [left, right] = [Math.max(view.x.at, px(view, from)), Math.min(far, px(view, to ?? now))]
    if (right - left > 12) above(ctx, view, (left + right) / 2, "paused", taken, left)
  }
}

// What would lie on other words goes to their left, as far as its middle stays beyond `least`.
function above(ctx, view, x, words, taken, least = Infinity) {
  ctx.font = `11px ${view.font}`
  const half = ctx.measureText(words).width / 2
  const within = (at) => Math.min(Math.max(at, view.x.at + half), view.x.at + view.x.length - half)
  const hidden = (at) => taken.find((other) => Math.abs(other.at - at) < other.half + half + 10)
  let at = within(x)
  const other = hidden(at)
  if (other) {
    const aside = other.at - other.half - half - 11
    if (aside < least || within(aside) !== aside || hidden(aside)) return
    at = aside
  }
  taken.push({ at, half })
  ctx.textBaseline = "alphabetic"
  ctx.textAlign = "center"
  ctx.fillStyle = view.theme.quiet
  ctx.fillText(words, at, view.y.at - 6)
}

function dashed(ctx, view, x, colour) {
  ctx.save()
  ctx.setLineDash([2, 3])
  ctx.strokeStyle = colour
  ctx.lineWidth = 1
  ctx.beginPath()
  ctx.moveTo(x, view.y.at)
  ctx.lineTo(x, view.y2.at + view.y2.length)
  ctx.stroke()
  ctx.restore()
}

// Our own loop was late here: ticks at the foot of the in-flight chart.
function paintLags(ctx, model, view) {
  ctx.fillStyle = view.colours.retried
  for (const at of model.col.lag_at) {
    const x = px(view, at)
    if (x >= view.x.at && x <= view.x.at + view.x.length) {
      ctx.fillRect(Math.round(x) - 1, view.y2.at + view.y2.length - 6, 2, 6)
    }
  }
}

// Between two updates the area goes on at its last height up to "now".
function paintTail(ctx, model, view, now) {
  const { flight } = model.col
  const from = Math.max(px(view, model.header.now_s), view.x.at)
  const to = Math.min(px(view, now), view.x.at + view.x.length)
  const value = flight[flight.length - 1]
  if (to <= from || !value) return
  const y = py2(view, value)
  ctx.fillStyle = view.theme.area
  ctx.fillRect(from, y, to - from, view.y2.at + view.y2.length - y)
  ctx.fillStyle = view.theme.area_line
  ctx.fillRect(from, y - 0.75, to - from, 1.5)
}

function paintNow(ctx, view, now) {
  const x = Math.round(px(view, now)) + 0.5
  if (x < view.x.at || x > view.x.at + view.x.length) return
  ctx.fillStyle = view.theme.text
  ctx.globalAlpha = 0.55
  ctx.fillRect(x - 0.5, view.y.at, 1, view.y2.at + view.y2.length - view.y.at)
  ctx.globalAlpha = 1
}

function nowWords(ctx, view, now) {
  const x = Math.round(px(view, now)) + 0.5
  const taken = []
  if (x >= view.x.at && x <= view.x.at + view.x.length) above(ctx, view, x, `now ${instant(now)}`, taken)
  return taken
}

