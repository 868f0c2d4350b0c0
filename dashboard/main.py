"""The door first, then navigation: who comes in, which pages there are, and the look they share."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # AppTest runs this file by itself

import streamlit as st  # noqa: E402

from dashboard import door, elements, house, pages, pressing  # noqa: E402
from dashboard.lost_page import draw_lost  # noqa: E402
from fanout.store.database import StoreLost  # noqa: E402

st.set_page_config(page_title="Fanout", layout="wide", initial_sidebar_state="collapsed")
st.html(Path(__file__).parent / "look.css")
elements.when_the_server_is_lost()
pressing.listen()
is_in = door.is_in()
with_audit = not is_in or (door.has_login() and door.person().role == "admin")  # a login leads back to any page of ours
page = st.navigation(pages.all_pages(with_audit=with_audit), position="top" if is_in else "hidden")
door.person(page.url_path)
elements.tab_title(page.title)  # whoever is turned away reads no more than the product's name
door.draw_who()
try:
    page.run()
except StoreLost as exc:
    draw_lost(exc)
house.page_painted()
