"""The door: who may come in, and as whom. `person()` is what pages ask; the rest is how that is known."""

from dashboard.door.page import draw_who, has_login, is_in, person

__all__ = ["draw_who", "has_login", "is_in", "person"]
