// The hatches that tell statuses apart without colour, as patterns for a canvas: sharp at any density of pixels.

import palette from "./palette.js"
import { px } from "./view.js"

const TILE = 7 // a hatch's period in pixels
const tiles = new Map()

// A hatch that keeps its phase to the time axis, so that it does not swim while the chart is panned.
export function hatchOf(ctx, view, look) {
  const shape = palette.looks[look].hatch
  if (!shape) return null
  const key = `${look} ${view.dark} ${view.dpr} ${view.theme.page}`
  if (!tiles.has(key)) {
    if (tiles.size > 40) tiles.clear()
    tiles.set(key, tile(shape, strokeOf(look, view), view.dpr))
  }
  const pattern = ctx.createPattern(tiles.get(key), "repeat")
  const shift = view.x ? px(view, 0) % TILE : 0
  pattern.setTransform(new DOMMatrix([1 / view.dpr, 0, 0, 1 / view.dpr, shift, 0]))
  return pattern
}

const strokeOf = (look, view) => {
  if (look === "waiting") return view.dark ? "rgba(152,161,173,.3)" : "rgba(91,101,115,.24)"
  if (look === "quota") return view.dark ? "rgba(170,150,226,.5)" : "rgba(96,72,160,.34)"
  if (look === "backoff") return view.dark ? "rgba(207,154,60,.7)" : "rgba(168,106,0,.6)"
  return view.dark ? "rgba(15,20,26,.55)" : "rgba(255,255,255,.6)"
}

function tile(shape, stroke, dpr) {
  const canvas = document.createElement("canvas")
  canvas.width = canvas.height = TILE * dpr
  const ctx = canvas.getContext("2d")
  ctx.scale(dpr, dpr)
  ctx.strokeStyle = stroke
  ctx.lineWidth = 1.1
  ctx.beginPath()
  const line = (x0, y0, x1, y1) => (ctx.moveTo(x0, y0), ctx.lineTo(x1, y1))
  for (const k of [-TILE, 0, TILE]) {
    if (shape === "/" || shape === "x") line(k - 1, TILE + 1, k + TILE + 1, -1)
    if (shape === "\\" || shape === "x") line(k - 1, -1, k + TILE + 1, TILE + 1)
  }
  if (shape === "-") for (const y of [1.75, 5.25]) line(0, y, TILE, y)
  ctx.stroke()
  return canvas
}
