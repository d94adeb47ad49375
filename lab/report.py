"""What the lab prints: steps with their elapsed time, tables, and errors. Colour on a terminal only."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
_lock = threading.Lock()
_progress: Progress | None = None


def seconds(since: float) -> str:
    took = time.monotonic() - since
    return f"{took:.1f} s" if took < 60 else f"{int(took // 60)} min {int(took % 60):02d} s"


@contextmanager
def step(text: str, expected: str = "") -> Iterator[None]:
    """Show that something is under way: a spinner on a terminal, else a line at its start and one at its end."""
    global _progress
    began = time.monotonic()
    label = f"{text} [dim]({expected})[/dim]" if expected else text
    with _lock:
        if err.is_terminal and _progress is None:
            _progress = Progress(
                SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True
            )
            _progress.start()
        task = _progress.add_task(label) if _progress else None
    if task is None:
        err.print(f"  … {label}")
    done = False
    try:
        yield
        done = True
    finally:
        with _lock:
            if _progress and task is not None:
                _progress.remove_task(task)
                if not _progress.tasks:
                    _progress.stop()
                    _progress = None
        mark = "[green]✓[/green]" if done else "[red]✗[/red]"
        err.print(f"  {mark} {text} [dim]{seconds(began)}[/dim]")


def say(text: str) -> None:
    err.print(text)


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    grid = Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console = out if out.is_terminal else Console(width=max(160, int(os.environ.get("COLUMNS") or 0)), highlight=False)
    console.print(grid)
