// The table of runs: Streamlit calls the default export at each change of data. One Table per element.
// Names, models and tags are others' words: they go in by textContent alone. Rows are kept by their run's id, so that a
// refresh touches the cells that changed, and focus, scroll and selection stay where they are.

const tables = new WeakMap() // by parent element: its Table

export default function show({ data, parentElement, setStateValue, setTriggerValue }) {
  let table = tables.get(parentElement)
  if (!table) tables.set(parentElement, (table = new Table(parentElement.querySelector(".fo-history"), data.picked)))
  table.tell = { pick: (ids) => setStateValue("picked", ids), sort: (by) => setTriggerValue("sorted", by) }
  table.update(data)
}

class Table {
  constructor(home, picked) {
    this.rows = new Map() // by run id: its <tr>
    this.picked = new Set(picked) // from now on the browser's word counts
    this.heads = ""
    const wide = make("div", "wide")
    this.table = make("table", "history")
    this.caption = make("caption", "unseen")
    this.head = make("tr")
    const thead = make("thead")
    thead.append(this.head)
    this.body = make("tbody")
    this.table.append(this.caption, thead, this.body)
    wide.append(this.table)
    home.replaceChildren(wide)
    this.body.addEventListener("click", (event) => this.pressed(event))
    this.body.addEventListener("change", (event) => this.ticked(event.target))
    this.body.addEventListener("keydown", (event) => this.moved(event))
  }

  update(data) {
    this.data = data
    put(this.caption, data.caption)
    this.drawHeads(data.columns)
    const gone = new Set(this.rows.keys())
    let before = null
    for (const told of data.rows) {
      gone.delete(told.id)
      const row = this.rows.get(told.id) ?? this.begin(told)
      fill(row, told, data)
      const place = before ? before.nextSibling : this.body.firstChild
      if (place !== row) this.body.insertBefore(row, place)
      before = row
    }
    for (const id of gone) {
      this.rows.get(id).remove()
      this.rows.delete(id)
      this.picked.delete(id)
    }
    this.tickAll()
  }

  drawHeads(columns) {
    const said = JSON.stringify(columns)
    if (said === this.heads) return
    this.heads = said
    const focused = this.head.contains(document.activeElement) ? document.activeElement.dataset.key : null
    const all = make("th", "pick")
    all.scope = "col"
    this.all = tick("Select all runs of this page")
    this.all.addEventListener("change", () => this.pickAll(this.all.checked))
    all.append(this.all)
    this.head.replaceChildren(all, ...columns.map((column) => this.headOf(column)))
    if (focused) this.head.querySelector(`button[data-key="${focused}"]`)?.focus()
  }

  headOf(column) {
    const head = make("th", `c-${column.key}` + (column.number ? " number" : ""))
    head.scope = "col"
    if (column.note) head.title = column.note
    if (!column.next) {
      put(head, column.head)
      return head
    }
    if (column.sorted) head.setAttribute("aria-sort", column.sorted)
    const button = make("button")
    button.type = "button"
    button.dataset.key = column.key
    button.textContent = column.head
    button.addEventListener("click", () => this.tell.sort(column.next))
    head.append(button)
    return head
  }

  begin(told) {
    const row = make("tr")
    row.dataset.id = told.id
    const pick = make("td", "pick")
    pick.append(tick(""))
    row.append(pick)
    this.data.columns.forEach((column, place) => {
      const cell = make(place ? "td" : "th", `c-${column.key}` + (column.number ? " number" : ""))
      if (!place) {
        cell.scope = "row"
        cell.append(make("a"), make("span", "note"))
      }
      row.append(cell)
    })
    this.rows.set(told.id, row)
    if (this.picked.has(told.id)) this.pick(told.id, true)
    return row
  }

  pressed(event) {
    const row = event.target.closest("tr")
    if (!row || event.target.closest(".pick") || event.button !== 0) return
    const link = event.target.closest("a")
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return // a link's own ways: another tab, a window
    if (!link && !window.getSelection().isCollapsed) return // somebody marks words to copy them
    event.preventDefault()
    follow(row.querySelector("a").href)
  }

  ticked(box) {
    this.pick(box.closest("tr").dataset.id, box.checked)
    this.tellPicked()
  }

  pickAll(on) {
    for (const id of this.rows.keys()) this.pick(id, on)
    this.tellPicked()
  }

  pick(id, on) {
    if (on) this.picked.add(id)
    else this.picked.delete(id)
    const row = this.rows.get(id)
    row.classList.toggle("picked", on)
    row.querySelector("input").checked = on
  }

  tellPicked() {
    this.tickAll()
    this.tell.pick(this.data.rows.map((row) => row.id).filter((id) => this.picked.has(id)))
  }

  tickAll() {
    this.all.checked = this.picked.size > 0 && this.picked.size === this.rows.size
    this.all.indeterminate = this.picked.size > 0 && !this.all.checked
  }

  // Up and down lead from a row to the next one, in the column of links or of ticks.
  moved(event) {
    const step = { ArrowDown: "nextSibling", ArrowUp: "previousSibling" }[event.key]
    if (!step || !event.target.matches("a, input")) return
    const next = event.target.closest("tr")[step]?.querySelector(event.target.matches("a") ? "a" : "input")
    if (!next) return
    event.preventDefault()
    next.focus()
  }
}

// Go to another page of ours as the browser's own buttons do, which Streamlit listens to: nothing is loaded anew, and the
// way back leads to the list as it is. Streamlit's own way would put the run into the list's address first.
function follow(address) {
  window.history.pushState({}, "", address)
  window.dispatchEvent(new PopStateEvent("popstate", { state: {} }))
}

function fill(row, told, { columns, home }) {
  const box = row.querySelector("input")
  box.setAttribute("aria-label", `Select ${told.title}`)
  columns.forEach((column, place) => {
    const cell = row.children[place + 1]
    if (!place) {
      const link = cell.firstChild
      put(link, told.cells[place])
      link.href = `${home}?run=${encodeURIComponent(told.id)}`
      link.classList.toggle("unnamed", !told.named)
      put(cell.lastChild, told.note)
    } else if (column.key === "tags" && told.tags.length) {
      putTags(cell, told.tags)
    } else {
      put(cell, told.cells[place])
    }
    if (told.whys[place]) cell.title = told.whys[place]
    else cell.removeAttribute("title")
    if (column.key === "state") cell.dataset.tone = told.tone ?? ""
    if (column.key === "failed") cell.dataset.tone = told.cells[place] === "0" ? "" : "wrong"
  })
}

function putTags(cell, tags) {
  const said = JSON.stringify(tags)
  if (cell.dataset.tags === said) return
  cell.dataset.tags = said
  cell.replaceChildren(...tags.flatMap((tag) => {
    const one = make("span", "tag")
    one.textContent = tag
    return [one, " "]
  }))
}

function put(element, text) {
  if (element.dataset.tags) delete element.dataset.tags
  if (element.textContent !== text) element.textContent = text
}

function make(name, look = "") {
  const made = document.createElement(name)
  if (look) made.className = look
  return made
}

function tick(label) {
  const box = make("input")
  box.type = "checkbox"
  box.setAttribute("aria-label", label)
  return box
}
