// Which mark lies under a point, and where the arrow keys lead. Pure: model, view and clock in, a place out.

import { STATUS, endOf, firstFrom, rowAt, sectionOf } from "./model.js"
import { onStrip } from "./strip.js"
import { inside, px, rowPixels, timeAt, unitAt } from "./view.js"

const REACH = 3 // pixels beside a bar that still count as on it

// {mark}, {call} (a row, but no bar of it), {hold} (the strip), {step} (the in-flight chart) or null.
export function hitAt(model, view, x, y, now) {
  if (inside(view.x, view.y2, x, y)) return { step: timeAt(view, x) }
  if (onStrip(model, view, x, y)) return { hold: timeAt(view, x) }
  if (y < view.y.at || y > view.y.at + view.y.length || x > view.x.at + view.x.length) return null
  const row = rowAt(model, unitAt(view, y))
  if (row < 0) return null
  const mark = x < view.x.at ? null : nearest(model, view, rowsNear(model, view, row, y), x, now)
  if (mark !== null) return { mark }
  const section = sectionOf(model, row)
  return section.kind === "rows" ? { call: model.callAtRow[row - section.first] } : null
}

// Where rows are thinner than a pointer is exact, the rows beside count as well, nearest first.
function rowsNear(model, view, row, y) {
  const full = rowPixels(view, sectionOf(model, row).scale)
  if (full >= 3) return [row]
  const rows = [row]
  for (let k = 1; k <= Math.min(4, Math.ceil(1.5 / full)); k++) rows.push(row - k, row + k)
  return rows.filter((r) => r >= 0 && r < model.rows)
}

function nearest(model, view, rows, x, now) {
  let best = null
  let distance = REACH
  const reach = timeAt(view, REACH + view.x.at) - timeAt(view, view.x.at)
  const t = timeAt(view, x)
  for (const row of rows) {
    for (let k = firstFrom(model, row, t - reach); k < model.marks.at[row + 1]; k++) {
      const i = model.marks.index[k]
      const left = px(view, model.col.start[i])
      if (left > x + REACH) break
      if (view.hidden.has(STATUS[model.col.status[i]])) continue
      const right = px(view, endOf(model, i, now))
      const off = x < left ? left - x : x > right ? x - right : 0
      if (off < distance) [best, distance] = [i, off]
    }
    if (distance === 0) break
  }
  return best
}

// The mark that a key leads to from `mark` (null: none yet), or `mark` itself where there is no further one.
export function stepFrom(model, mark, key) {
  if (!model.size) return null
  if (mark === null) return inRow(model, nextRow(model, -1, 1), 0)
  const row = model.col.row[mark]
  const { at, index } = model.marks
  let place = at[row]
  while (index[place] !== mark) place++
  if (key === "ArrowLeft") return index[Math.max(at[row], place - 1)]
  if (key === "ArrowRight") return index[Math.min(at[row + 1] - 1, place + 1)]
  if (key === "Home") return index[at[row]]
  if (key === "End") return index[at[row + 1] - 1]
  const other = nextRow(model, row, key === "ArrowUp" ? -1 : 1)
  if (other < 0) return mark
  const near = firstFrom(model, other, model.col.start[mark])
  return index[Math.min(near, at[other + 1] - 1)]
}

const inRow = (model, row, place) => (row < 0 ? null : model.marks.index[model.marks.at[row] + place])

// The next row in that direction that has a mark, or -1.
function nextRow(model, row, step) {
  const { at } = model.marks
  for (let r = row + step; r >= 0 && r < model.rows; r += step) if (at[r + 1] > at[r]) return r
  return -1
}

// A mark is known across updates by its call, its attempt and which run it is of.
export function nameOf(model, mark) {
  const { call, number } = model.col
  return { call: call[mark], number: number[mark], kind: sectionOf(model, model.col.row[mark]).kind }
}

export function find(model, name) {
  if (!name) return null
  for (let i = 0; i < model.size; i++) {
    const same = model.col.call[i] === name.call && (name.number === undefined || model.col.number[i] === name.number)
    if (same && (!name.kind || sectionOf(model, model.col.row[i]).kind === name.kind)) return i
  }
  return null
}

export function marksOf(model, call) {
  const found = []
  for (let i = 0; i < model.size; i++) if (model.col.call[i] === call) found.push(i)
  return found
}

