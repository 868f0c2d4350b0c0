// What is pressed. A link that leads to another page is noted: what is on this one must not lead back (kept_in_tab.js).
// The navigation's link to the page one is on leads to that page as it is at first: "Run" from a run to the form.
// Streamlit draws the body of a popover at the page's end, far from its button. One that is opened by
// a key is entered, and one that is left by Escape gives the focus back to its button.
const BUTTON = '[data-testid="stPopoverButton"]'
const BODY = '[data-testid="stPopoverBody"]'
const NAVIGATION = 'nav, [data-testid="stSidebarNav"]'
const NARROW_MENU = '[data-testid="stSidebarCollapseButton"] [aria-expanded="true"]'
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
  if (!link) return
  const staysHere = !(event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
  if (!staysHere || link.target === "_blank" || link.hasAttribute("download")) return
  const { pathname: to, href } = new URL(link.href)
  window.fanoutLed = { to, at: Date.now() }
  if (link.closest(NAVIGATION) && to === location.pathname && location.search) beginAnew(event, href)
}

// Streamlit keeps the address where its page stays the same; it follows the browser's own history.
function beginAnew(event, href) {
  event.preventDefault()
  event.stopPropagation()
  document.querySelector(NARROW_MENU)?.click()
  history.pushState(null, "", href)
  dispatchEvent(new PopStateEvent("popstate"))
}

if (!keys.listens) {
  keys.listens = true
  document.addEventListener("click", onClick, true)
  document.addEventListener("keydown", onKey, true)
  window.addEventListener("popstate", () => { window.fanoutLed = undefined }) // the browser's own way back
}

export default () => {}
