// Numbers as people read them, by the rule of units.py: a unit always, at most three significant digits, a dash where
// unknown (NaN, undefined).

export function duration(seconds) {
  if (!(seconds >= 0)) return "—"
  const ms = digits(seconds * 1000)
  if (ms < 1000) return `${ms} ms`
  const whole = Math.round(seconds)
  if (whole < 60) return `${digits(seconds)} s`
  if (whole < 3600) return two(whole, 60, "min", "s")
  const minutes = Math.round(seconds / 60)
  if (minutes < 24 * 60) return two(minutes, 60, "h", "min")
  return two(Math.round(seconds / 3600), 24, "d", "h")
}

function two(value, of, large, small) {
  const rest = value % of
  return `${count((value - rest) / of)} ${large}${rest ? ` ${rest} ${small}` : ""}`
}

// A place on the time axis, in its unit: 2 decimals below 10 s, fewer beyond.
export function instant(seconds) {
  return `${seconds.toFixed(seconds < 10 ? 2 : seconds < 1000 ? 1 : 0)} s`
}

export function count(number) {
  return number.toLocaleString("en-US")
}

const digits = (value) => (value < 1e-6 ? 0 : Number(value.toPrecision(3)))
