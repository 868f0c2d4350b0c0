// What is pressed. A link that leads to another page is noted: what is on this one must not lead back (kept_in_tab.js).
// Streamlit draws the body of a popover at the page's end, far from its button. One that is opened by
// a key is entered, and one that is left by Escape gives the focus back to its button.
const BUTTON = '[data-testid="stPopoverButton"]'
const BODY = '[data-testid="stPopoverBody"]'
const ENTERED = "input, textarea, button, a[href], [tabindex='0']"
const OPENS_WITHIN_MS = 5000 // some draw their fields when they are opened
const keys = (window.fanoutKeys ??= { listens: false, opener: null })

function onKey(event) {
  const button = event.target.closest?.(BUTTON)
  if (button && (event.key === "Enter" || event.key === " ")) enter(button)
  else if (event.key === "Escape" && event.target.closest?.(BODY) && keys.opener?.isConnected) {
    const { opener } = keys
    setTimeout(() => document.querySelector(BODY) || opener.focus()) // once it is closed
  }
}

function enter(button) {
  keys.opener = button
  const watch = new MutationObserver(look)
  const end = setTimeout(() => watch.disconnect(), OPENS_WITHIN_MS)
  watch.observe(document.body, { childList: true, subtree: true })

  function look() {
    const first = [...document.querySelectorAll(`${BODY} :is(${ENTERED})`)].find((each) => !each.disabled && each.offsetParent)
    if (!first) return
    watch.disconnect()
    clearTimeout(end)
    if (document.activeElement === button || document.activeElement === document.body) first.focus()
  }
}

function onClick(event) {
  const link = event.target.closest?.("a[href]")
  if (link) window.fanoutLed = { to: new URL(link.href).pathname, at: Date.now() }
}

if (!keys.listens) {
  keys.listens = true
  document.addEventListener("click", onClick, true)
  document.addEventListener("keydown", onKey, true)
}

export default () => {}
