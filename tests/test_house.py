"""The house keeps its order: imports go one way, the deciding core is pure, and nothing heavy comes along."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

RANKS = (
    ("errors", "clock", "reasons"),
    ("streams", "threads"),
    ("people", "names", "letters"),
    ("sandbox.profile",),
    ("prompts", "samples", "batch"),
    ("events",),
    ("quota", "retry"),
    ("schedule",),
    ("run",),
    ("draft", "billed"),
    ("fold",),
    ("metrics",),
    ("store", "export", "spans", "tuning", "compare"),
    ("archive",),
    ("sandbox",),
    ("providers",),
    ("calls",),
    ("live",),
    ("stretch",),
    ("lag", "pool", "dispatch", "reuse"),
    ("opening", "remembered", "timer"),
    ("engine",),
    ("executor_run",),
    ("executor", "settings"),
    ("wiring",),
    ("library",),
    ("terminal",),
    ("driving",),
    ("stored_commands",),
    ("commands",),
    ("__init__",),
    ("__main__",),
)
"""Left to right in the design: a room imports only from those above it, or from its own."""

PURE = (
    "people",
    "names",
    "letters",
    "schedule",
    "quota",
    "retry",
    "run",
    "billed",
    "fold",
    "metrics",
    "events",
    "batch",
    "prompts",
    "export",
    "archive",
    "compare",
    "tuning",
)
IMPURE_MODULES = {"threading", "asyncio", "socket", "time", "random", "subprocess", "concurrent", "os"}
VIEWS = {"streamlit", "plotly", "dashboard"}


def rank(room: str) -> int:
    for place, rooms in enumerate(RANKS):
        if room in rooms:
            return place
    raise AssertionError(f"{room} has no place in the house: give it one in RANKS")


def room_of(module: str) -> str:
    """fanout.providers.loop -> providers; fanout.sandbox.profile is a room of its own; fanout -> __init__."""
    parts = module.split(".")[1:]
    if not parts:
        return "__init__"
    return "sandbox.profile" if parts[:2] == ["sandbox", "profile"] else parts[0]


def modules(package: str) -> list[tuple[str, Path]]:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found.append((name, path))
    return found


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or later."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = (ROOT / whole.replace(".", "/")).with_suffix(".py").exists() or (
                    ROOT / whole.replace(".", "/")
                ).is_dir()
                names.add(whole if is_module else node.module)
    return names


@pytest.mark.parametrize(("name", "path"), modules("fanout"), ids=lambda value: str(value).split("/")[-1])
def test_a_room_imports_only_from_those_before_it(name: str, path: Path) -> None:
    own = room_of(name)
    for imported in imports(path):
        assert imported.split(".")[0] not in VIEWS, f"{name} draws: it imports {imported}"
        if imported.split(".")[0] == "fanout" and room_of(imported) != own:
            assert rank(room_of(imported)) < rank(own), f"{name} imports upwards: {imported}"


@pytest.mark.parametrize("room", PURE)
def test_the_deciding_core_is_pure(room: str) -> None:
    for name, path in modules("fanout"):
        if room_of(name) == room:
            found = {imported.split(".")[0] for imported in imports(path)} & IMPURE_MODULES
            assert not found, f"{name} must not know {found}"


def test_importing_fanout_loads_no_provider_and_no_view() -> None:
    heavy = ["pydantic_ai", "openai", "anthropic", "httpx2", "httpx", "streamlit", "plotly", "pandas", "numpy"]
    code = f"import fanout, sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_promised_name_is_there() -> None:
    import fanout

    assert [name for name in fanout.__all__ if not hasattr(fanout, name)] == []
    assert set(fanout.__all__) == set(fanout._FROM) <= set(dir(fanout))
    with pytest.raises(AttributeError, match="no attribute 'engines'"):
        fanout.engines  # type: ignore[attr-defined]  # noqa: B018  # that is the point


def test_every_file_says_its_purpose_and_can_be_read_in_a_sitting() -> None:
    for package in ("fanout", "dashboard"):
        for name, path in modules(package):
            text = path.read_text()
            assert ast.get_docstring(ast.parse(text)), f"{name} does not say what it is for"
            assert text.count("\n") <= 400, f"{name} has grown past one sitting"


def test_threads_for_calls_are_made_in_one_place() -> None:
    makers = {"ThreadPoolExecutor", "ThreadPool", "LoopPool", "Thread"}
    may = {
        "fanout.pool",
        "fanout.providers.loop",
        "fanout.sandbox.process",
        "fanout.store.trouble",
        "fanout.store.writer",
        "fanout.threads",
        "fanout.timer",
    }
    for name, path in modules("fanout"):
        called = {
            node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        }
        assert name in may or not called & makers, f"{name} makes threads"
