// Bytes as wire.py packs them -> {header, columns}. Refuses anything that does not begin with its magic word.

const KINDS = {
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f4: Float32Array, f8: Float64Array,
}
const utf8 = new TextDecoder()

// `bytes` must begin at a multiple of 8 of its buffer: take a slice() of what a websocket delivered.
export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (utf8.decode(bytes.subarray(0, 4)) !== "FOG1") throw new Error("these are not a chart's bytes")
  const length = view.getUint32(4, true)
  const header = JSON.parse(utf8.decode(bytes.subarray(8, 8 + length)))
  const base = bytes.byteOffset + 8 + length
  const columns = {}
  for (const [name, kind, at, count] of header.columns) {
    columns[name] = new KINDS[kind](bytes.buffer, base + at, count)
  }
  return { header, columns }
}

// What show() sends: what only this viewer sees, and within it the picture that all viewers share.
export function unpackShown(data) {
  const outer = unpack(data.slice())
  return { viewer: outer.header, ...unpack(outer.columns.picture) }
}

export function unpackTexts(data) {
  const { header, columns } = unpack(data.slice())
  return { run: header.run, prefix: header.prefix, lines: utf8.decode(columns.lines).split("\n") }
}
