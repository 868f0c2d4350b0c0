// Where things lie in pixels, read from a drawn Plotly element. The only file that looks into Plotly's `_fullLayout`
// (private: plotly is pinned, and a browser test reads it).

import palette from "./palette.js"

export function viewOf(gd, look) {
  const { xaxis, yaxis, yaxis2, width, height } = gd._fullLayout
  return { ...look, width, height, dpr: window.devicePixelRatio || 1, x: axis(xaxis), y: axis(yaxis), y2: axis(yaxis2) }
}

function axis({ _offset, _length, range }) {
  return { at: _offset, length: _length, from: Number(range[0]), to: Number(range[1]) }
}

export const px = ({ x }, t) => x.at + ((t - x.from) / (x.to - x.from)) * x.length
export const timeAt = ({ x }, at) => x.from + ((at - x.at) / x.length) * (x.to - x.from)
// Plotly's y ranges run from the bottom to the top.
export const py = ({ y }, u) => y.at + (1 - (u - y.from) / (y.to - y.from)) * y.length
export const unitAt = ({ y }, at) => y.from + (1 - (at - y.at) / y.length) * (y.to - y.from)
export const py2 = ({ y2 }, v) => y2.at + (1 - (v - y2.from) / (y2.to - y2.from)) * y2.length
export const rowPixels = (view, scale) => (scale * view.y.length) / Math.abs(view.y.to - view.y.from)

export function inside(axisX, axisY, x, y) {
  return x >= axisX.at && x <= axisX.at + axisX.length && y >= axisY.at && y <= axisY.at + axisY.length
}

// The page's theme as Streamlit gives it to a component; dark is decided by the background's luminance.
export function lookOf(element) {
  const style = getComputedStyle(element)
  const page = style.getPropertyValue("--st-background-color").trim() || "#ffffff"
  const dark = luminance(page) < 0.4
  return {
    dark,
    theme: { ...palette.themes[dark ? "dark" : "light"], page, text: style.getPropertyValue("--st-text-color").trim() || palette.themes[dark ? "dark" : "light"].text },
    font: style.getPropertyValue("--st-font").trim() || "sans-serif",
    colours: Object.fromEntries(Object.entries(palette.looks).map(([name, look]) => [name, dark ? look.dark : look.light])),
  }
}

const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true })

function luminance(colour) {
  probe.fillStyle = "#ffffff"
  probe.fillStyle = colour // any CSS colour; an unknown one leaves white
  probe.fillRect(0, 0, 1, 1)
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data
  return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255
}
