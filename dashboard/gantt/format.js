// Numbers as people read them: a unit always, at most three significant digits. Unknown (NaN, undefined) is a dash.

export function duration(seconds) {
  if (!(seconds >= 0)) return "–"
  if (seconds < 0.9995) return `${digits(seconds * 1000)} ms`
  if (seconds < 99.95) return `${digits(seconds)} s`
  const whole = Math.round(seconds)
  if (whole < 600) return `${whole} s`
  if (whole < 7200) return `${Math.round(whole / 60)} min`
  return `${digits(whole / 3600)} h`
}

// A place on the time axis: 3 decimals below 10 s, fewer beyond.
export function instant(seconds) {
  return `${seconds.toFixed(seconds < 10 ? 2 : seconds < 1000 ? 1 : 0)} s`
}

export function count(number) {
  return number.toLocaleString("en-US")
}

function digits(value) {
  if (value >= 99.95) return String(Math.round(value))
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2)
}
