// The chart as a PNG: Plotly's own picture of a figure object (not of the live element, so nothing flashes), with the
// bars, the row labels and the "now" line repainted offscreen and laid into it as one image. Plotly's button would
// save an empty upper plot.

import palette from "./palette.js"
import { count } from "./format.js"
import { present } from "./legend.js"
import { paintMoving, paintStill } from "./paint.js"

const SCALE = 2
const LEGEND = 28

export async function picture(Plotly, gd, model, view, texts, now) {
  const { width, height, _size: size } = gd._fullLayout
  const layer = (paint) => {
    const canvas = document.createElement("canvas")
    canvas.width = width * SCALE
    canvas.height = height * SCALE
    paint(canvas.getContext("2d"), { ...view, dpr: SCALE })
    return canvas
  }
  const still = layer((ctx, at) => paintStill(ctx, model, at, texts))
  const moving = layer((ctx, at) => paintMoving(ctx, model, at, { now, marked: null, selected: [] }))
  still.getContext("2d").resetTransform()
  still.getContext("2d").drawImage(moving, 0, 0)
  const image = {
    source: still.toDataURL(), xref: "paper", yref: "paper", layer: "above", sizing: "stretch",
    x: -size.l / size.w, y: 1 + size.t / size.h, sizex: width / size.w, sizey: height / size.h,
  }
  const layout = {
    ...gd.layout, width, height: height + LEGEND, images: [image], showlegend: true, paper_bgcolor: view.theme.page,
    margin: { ...gd.layout.margin, t: gd.layout.margin.t + LEGEND },
    xaxis: fixed(gd.layout.xaxis, view.x),
    yaxis: fixed(gd.layout.yaxis, view.y),
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", yref: "paper", font: { size: 11 } },
  }
  layout.legend.y = 1 + 26 / size.h
  const data = [...gd.data.map((trace) => ({ ...trace, showlegend: false })), ...swatches(model, view)]
  return Plotly.toImage({ data, layout, config: { showSendToCloud: false } }, {
    format: "png", width, height: height + LEGEND, scale: SCALE,
  })
}

function fixed(axis, { from, to }) {
  const { autorangeoptions: _, ...rest } = axis
  return { ...rest, autorange: false, range: [from, to] }
}

// Bars of no length, for the legend's sake.
function swatches(model, view) {
  return present(model, view).map(({ name, total }) => ({
    type: "bar", orientation: "h", x: [null], y: [null], xaxis: "x", yaxis: "y", showlegend: true,
    name: total === null ? palette.looks[name].word : `${palette.looks[name].word} ${count(total)}`,
    marker: {
      color: view.colours[name],
      pattern: { shape: palette.looks[name].hatch, fillmode: "overlay", fgcolor: view.theme.page, size: 6, solidity: 0.25 },
    },
  }))
}

export function download(url, name) {
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
}
