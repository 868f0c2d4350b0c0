// Plotly and the style sheet, from beside this file: asked for once per page.

import { element } from "./tip.js"

const ASSETS = new URL(".", import.meta.url)
let loading = null
let ready = false

export function load() {
  loading ??= Promise.all([plotly(), style("gantt.css")]).then(() => void (ready = true))
  return loading
}

export function isLoaded() {
  return ready
}

// A page with another chart has brought Plotly along, but never our style sheet.
function plotly() {
  return window.Plotly?.react ? Promise.resolve() : script("plotly.min.js")
}

function script(name) {
  return new Promise((resolve, reject) => {
    const tag = element("script")
    tag.src = new URL(name, ASSETS).href
    tag.onload = () => resolve(window.Plotly)
    tag.onerror = () => reject(new Error(`${name} could not be loaded`))
    document.head.append(tag)
  })
}

function style(name) {
  return new Promise((resolve) => {
    const tag = element("link")
    tag.rel = "stylesheet"
    tag.href = new URL(name, ASSETS).href
    tag.onload = tag.onerror = resolve
    document.head.append(tag)
  })
}
