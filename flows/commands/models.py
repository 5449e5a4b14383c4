"""`ytb-ads models`: list trained models with their scores, promote one, roll back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.console import AsJson, CatalogDir, print_json, print_tables, say

app = typer.Typer()
models_app = typer.Typer(
    name="models",
    invoke_without_command=True,
    help="List the trained models of a catalog, and put another one in service.",
    epilog="Example: ytb-ads models --catalog catalog && ytb-ads models rollback --catalog catalog",
)
app.add_typer(models_app)


@models_app.callback()
def list_models(context: typer.Context, catalog: CatalogDir = "./catalog", as_json: AsJson = False) -> None:
    """List the trained models of a catalog, and put another one in service."""
    if context.invoked_subcommand:
        return
    from data_catalog.catalog import Catalog
    from data_catalog.inspect import require_catalog
    from flows.models import list_runs, read_history, run_in_service

    tables = Catalog(catalog)
    runs, present = list_runs(tables), run_in_service(tables)
    history = read_history(tables)
    if not runs:
        require_catalog(tables)
    current = present.name if present else None
    rows = [_row(run.name, run.release, run.model, run.record, history, current) for run in runs]
    if as_json:
        print_json({"in_service": current, "runs": rows, "history": [asdict(decision) for decision in history]})
        return
    if not rows:
        say(f"{tables.models_dir}: no trained model yet")
        return
    print_tables(_table(rows))
    say(f"in service: {current or 'none'}")


@models_app.command(epilog="Example: ytb-ads models promote 2026.11.24/fgmfn-3f2a9c81d0")
def promote(
    run: Annotated[str, typer.Argument(metavar="RUN", help="RELEASE/FOLDER, or FOLDER alone if only one has it.")],
    catalog: CatalogDir = "./catalog",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Noted in the history.")] = "promoted by hand",
) -> None:
    """Put a model in service, regardless of the gate's decision."""
    from data_catalog.catalog import Catalog
    from flows.models import find_run
    from flows.models import promote as put_in_service

    tables = Catalog(catalog)
    decision = put_in_service(tables, find_run(tables, run), reason, by="hand")
    say(f"in service: {decision.run} (before: {decision.instead_of or 'none'})")


@models_app.command(epilog="Example: ytb-ads models rollback --reason 'names sales as negative'")
def rollback(
    catalog: CatalogDir = "./catalog",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Noted in the history.")] = "rolled back by hand",
) -> None:
    """Put the previous model back in service."""
    from data_catalog.catalog import Catalog
    from flows.models import roll_back

    decision = roll_back(Catalog(catalog), reason)
    say(f"in service: {decision.run} (before: {decision.instead_of})")


def _row(
    name: str, release: str, model: str, record: dict[str, Any], history: list[Any], current: str | None
) -> dict[str, Any]:
    own = [decision for decision in history if decision.run == name]
    promoted = [decision.at for decision in own if decision.action != "refused"]
    return {
        "run": name,
        "release": release,
        "model": model,
        "test_accuracy": (record["test"] or {}).get("accuracy"),
        "test_macro_f1": (record["test"] or {}).get("macro_f1"),
        "test_rows": (record["test"] or {}).get("rows", 0),
        "gain": next((each.comparison["macro_f1"] for each in own[::-1] if "with" in (each.comparison or {})), None),
        "promoted_at": promoted[-1] if promoted else None,
        "last_decision": f"{own[-1].action}: {own[-1].reason}" if own else None,
        "in_service": name == current,
    }


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from data_catalog.printing import printable

    table = Table(title="Trained models", box=box.SIMPLE_HEAD, title_justify="left")
    for name in ("", "run", "test accuracy", "test macro-F1", "rows", "gain in macro-F1", "promoted"):
        table.add_column(name, justify="left" if name in ("", "run", "promoted") else "right")
    for row in rows:
        gain = row["gain"]
        table.add_row(
            "*" if row["in_service"] else "",
            escape(printable(row["run"])),
            *("-" if row[name] is None else f"{row[name]:.1%}" for name in ("test_accuracy", "test_macro_f1")),
            f"{row['test_rows']:,}",
            "-" if gain is None else "{:+.3f} ({:+.3f} to {:+.3f})".format(*gain),
            (row["promoted_at"] or "-")[:16].replace("T", " "),
        )
    return table
