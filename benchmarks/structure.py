"""``python -m benchmarks.structure [TREE]``: files, lines, layers and imports of each app.

It omits migrations. Floors: the layers of an app in import-linter's contracts (pyproject.toml).
Arrows: pairs of an app's parts (files and folders directly inside it) in which one imports the
other, and pairs of its modules.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

APPS = ("gallery", "videos", "moderation", "imgsmlr_site")


def modules(tree: Path, app: str) -> dict[str, Path]:
    found = {}
    for path in sorted((tree / app).rglob("*.py")):
        parts = path.relative_to(tree).with_suffix("").parts
        if "migrations" not in parts:
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(names: dict[str, Path]) -> set[tuple[str, str]]:
    """Return pairs of modules: the first imports the second. Empty packages do not count."""
    full = {name for name, path in names.items() if path.stat().st_size}
    return {
        (name, other)
        for name, path in names.items()
        for other in imported(path)
        if other in full and other != name
    }


def floors(tree: Path, app: str) -> int:
    """Return the number of layers in the contract of an app, 0 without a contract."""
    contracts = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["importlinter"]
    for contract in contracts["contracts"]:
        if contract.get("containers") == [app]:
            return len(contract["layers"])
    return 0


def main() -> None:
    tree = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    print("| App | Files | Lines | Floors | Arrows between parts | Arrows between modules |")
    print("|---|---|---|---|---|---|")
    for app in APPS:
        names = modules(tree, app)
        lines = sum(path.read_text().count("\n") for path in names.values())
        pairs = arrows(names)
        parts = {(a.split(".")[1], b.split(".")[1]) for a, b in pairs if "." in a and "." in b}
        between = {pair for pair in parts if pair[0] != pair[1]}
        row = [app, len(names), f"{lines:,}", floors(tree, app), len(between), len(pairs)]
        print(f"| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
