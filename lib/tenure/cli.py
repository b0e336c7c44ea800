"""The command `tenure`: a thin face on the rooms of the library."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure import legible
from tenure.errors import InputError, TenureError, Terminated, refused, stop, unexpected, writing
from tenure.runs.progress import STATES, Bars, Lines

if TYPE_CHECKING:
    from tenure.runs.collection import Result
    from tenure.runs.runbook import Report

# Parameters that name a file or a folder: what is typed for them counts from the shell's folder.
_PATHS = ("data", "mapping", "company", "previous", "frozen")
_COLORS = {"ok": "green", "not_applicable": "yellow", "never_run": "dim"}


def _itself() -> str:
    """How this command is called in this shell: what a person copies from a message must work."""
    called = Path(sys.argv[0])
    return "tenure" if shutil.which("tenure") or called.name != "tenure" else str(called)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tenure")
@click.option("--debug", is_flag=True, help="Show tracebacks of unexpected errors.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Report who subscribes, how long they stay and what they are worth."""
    context.obj = debug


@cli.command()
@click.argument("reports", nargs=-1, metavar="[REPORT]...")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give a parameter a value.")
@click.option("--force", is_flag=True, help="Run even if nothing has changed.")
@click.option("--jobs", type=click.IntRange(min=1), help="Notebooks to run at once (default: 2).")
@click.option("--wait", is_flag=True, help="Wait while another run is in progress.")
@click.option("--to", "folder", metavar="FOLDER", help="Publish to this folder (default: reports).")
@click.option("--again", metavar="RUN", help="Make an old run anew from its record, in scratch/.")
def run(
    reports: tuple[str, ...],
    settings: tuple[str, ...],
    force: bool,
    jobs: int | None,
    wait: bool,
    folder: str | None,
    again: str | None,
) -> None:
    """Run the reports that are not up to date, and publish.

    A REPORT is a name in the runbook, or the path of one notebook, whose report goes to scratch/.

    Exit status: 0 all is well, 1 a report failed, 3 a monitored number is out of bounds.
    """
    from tenure.paths import resolve, typed
    from tenure.runs.collection import run_collection
    from tenure.runs.runbook import alone, read_runbook

    given = _settings(settings)
    if any(name.endswith(".ipynb") for name in reports):
        if len(reports) > 1:
            raise InputError("A notebook that is named by its path is run alone. Fix: name one notebook.")
        path = resolve(typed(reports[0]))
        runbook, reports = alone(path, given), ()
        folder = folder or str(resolve("scratch") / path.stem)
    else:
        runbook = read_runbook(_runbook_path(), given, reports)
    old: dict[str, Any] = {}
    if again is not None:
        from tenure.runs.again import as_recorded, differences

        if settings:
            raise InputError("--again takes the parameters of its run. Fix: leave out --set.")
        runbook, old = (
            as_recorded(runbook, _reports(None), again, reports),
            _reports(None).record(again) or {},
        )
        folder, reports, force = folder or str(resolve("scratch") / again), (), True
    _demo_on_first_use(runbook.select(reports))
    place = _reports(folder)
    progress = Bars() if sys.stderr.isatty() else Lines()
    with progress:
        result = run_collection(runbook, place, reports, force=force, jobs=jobs, wait=wait, progress=progress)
    _summarize(result, place.index)
    if old and not result.failed:
        other = differences(old, result.entries)
        click.echo(
            f"Other than in {again}: {', '.join(other)}." if other else f"All findings are those of {again}."
        )
        sys.exit(1 if other else result.status)
    sys.exit(result.status)


@cli.command(name="list")
@click.option("--to", "folder", metavar="FOLDER", help="Where runs are published (default: reports).")
def list_(folder: str | None) -> None:
    """List the reports: question, parameters, required tables, and how the last run went."""
    from rich.console import Console
    from rich.markup import escape

    from tenure.runs.runbook import read_runbook

    runbook = read_runbook(_runbook_path())
    record = _reports(folder).published()
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for report in runbook.reports:
        entry = (record or {"reports": {}})["reports"].get(report.name, {"state": "never_run"})
        state, when = entry["state"], entry.get("tried_at")
        words = f"{STATES[state]}, {when}" if when else STATES[state]
        console.print(f"[bold]{report.name}[/]  [{_COLORS.get(state, 'red')}]{words}[/]")
        console.print(f"  {escape(report.title)}")
        tables = dict.fromkeys(("customers", "subscriptions", *report.notebook.tables))
        console.print(f"  [dim]tables:[/] {', '.join(tables)}")
        if report.needs:
            console.print(f"  [dim]after:[/] {', '.join(report.needs)}")
        if report.notebook.findings:
            console.print(f"  [dim]findings:[/] {', '.join(report.notebook.findings)}")
        for name, parameter in report.notebook.parameters.items():
            value = report.values[name]
            console.print(f"  [dim]{name}[/] = {escape(repr(value))}  [dim]{escape(parameter.help)}[/]")


@cli.command()
@click.argument("report")
@click.argument("lab", nargs=-1, type=click.UNPROCESSED, metavar="[-- OPTION OF JUPYTERLAB]...")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Give a parameter a value.")
@click.option("--to", "folder", metavar="FOLDER", help="Copy to this folder (default: scratch).")
@click.option("--no-lab", is_flag=True, help="Only copy, as for VS Code.")
def explore(
    report: str, lab: tuple[str, ...], settings: tuple[str, ...], folder: str | None, no_lab: bool
) -> None:
    """Copy the notebook of REPORT with its parameters to scratch/, and open it in JupyterLab.

    What is scheduled runs the original, whatever is done to the copy.
    """
    from tenure.paths import project_root, resolve, typed
    from tenure.runs.explore import copy_notebook
    from tenure.runs.runbook import read_runbook

    found = read_runbook(_runbook_path(), _settings(settings), [report]).select([report])
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise InputError(f"{report} is repeated in the runbook. Fix: name one of {names}.")
    _demo_on_first_use(found)
    place = Path(folder).expanduser().absolute() if folder else resolve("scratch")
    with writing(place, "name a folder that can be, with --to"):
        path = copy_notebook(found[0], place)
    click.echo(f"{typed(str(path))}: a copy. Make its report with: {_itself()} run {typed(str(path))}")
    if not no_lab:
        command = [sys.executable, "-m", "jupyterlab", str(path), *lab]
        os.execve(sys.executable, command, {**os.environ, "TENURE_ROOT": str(project_root())})


@cli.command()
@click.option("--format", "form", type=click.Choice(["markdown", "html", "slack"]), default="markdown")
@click.option("--from", "folder", metavar="FOLDER", help="Where runs are published (default: reports).")
@click.option("--link", metavar="URL", help="The address that serves this folder (default: the folder).")
def digest(form: str, folder: str | None, link: str | None) -> None:
    """Print the latest run's summary: what is out of bounds, failed or clearly changed; sending is yours."""
    from tenure.report.digest import digest

    if link and not link.startswith(("https://", "http://", "file://")):
        example = "https://reports.example.com"
        raise InputError(f"--link is {link!r}, no web address. Fix: give one, such as {example}.")
    place = _reports(folder)
    said = digest(_published(place), form, (link or place.folder.as_uri()).rstrip("/"))
    click.echo(legible.visible(said))


@cli.command()
@click.argument("target")
@click.option("--table", default="tenure_customers", show_default=True, help="The table of a database.")
@click.option("--from", "folder", metavar="FOLDER", help="Where runs are published (default: reports).")
def export(target: str, table: str, folder: str | None) -> None:
    """Write the customers of the latest run to TARGET, for a CRM: segment, score, value and next action.

    TARGET is a .csv or .parquet file, or a database such as 'postgres://me:${PGPASSWORD}@host/crm'.
    """
    from tenure.sources.lists import COLUMNS, customer_list, write_list

    place = _reports(folder)
    record = _published(place)
    exports = place.runs / record["id"] / "exports"
    rows = customer_list([exports / name for name in record["reports"]])
    known = rows.execute(f"SELECT {', '.join(f'count({name})' for name in COLUMNS)} FROM list").fetchone()
    where = write_list(rows, target, table)
    said = ", ".join(f"{name} ({count:,})" for name, count in zip(COLUMNS, known, strict=True))
    click.echo(f"Written to {where}, from the run of {record['finished']}: {said}.")
    click.echo("These are data about persons, which now lie there, too: see who may read them.")


@cli.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--from", "folder", metavar="FOLDER", help="Where runs are published (default: reports).")
def forget(ids: tuple[str, ...], folder: str | None) -> None:
    """Remove customers from the exports and pages of all runs that are kept; docs/privacy.md says what stays.

    An ID is written as in the column customer_id of exports. Remove them from the data first.
    """
    from tenure.runs.forget import forget

    place = _reports(folder)
    _published(place)
    for name in forget(place, ids):
        click.echo(f"Removed from {name}.")
    click.echo("The data, backups, and what `tenure export` has written are yours to clear.")


@cli.command()
@click.argument("folder", default="")
@click.option("--customers", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--months", type=click.IntRange(min=1), default=36, show_default=True)
@click.option("--seed", type=int, default=8, show_default=True)
@click.option("--force", is_flag=True, help="Overwrite the folder if it exists.")
def demo(folder: str, customers: int, months: int, seed: int, force: bool) -> None:
    """Write the demo company to FOLDER (default: data/demo): a simulated streaming service, and its truth."""
    from tenure.paths import resolve

    place = Path(folder).expanduser().absolute() if folder else resolve("data/demo")
    if not _make_demo(place, customers, months, seed, force):
        click.echo(f"{place} is there already, with the same settings.")


@cli.command()
@click.argument("name")
@click.option("--question", required=True, metavar="TEXT", help="The question it answers.")
def new(name: str, question: str) -> None:
    """Create a workbook NAME: notebook, measure, model, tests, engine case and runbook entry."""
    from tenure.paths import project_root
    from tenure.runs.new import new_workbook

    root = project_root()
    for path in new_workbook(root, name, question):
        click.echo(path.relative_to(root))
    click.echo(
        f"Run it with `tenure run {name}`; docs/your_workbook.md says what to change, and in which order."
    )


@cli.command()
@click.argument("data")
@click.option("--name", default="", metavar="NAME", help="What the mapping is called (default: as the data).")
@click.option(
    "--recipe", default="", metavar="RECIPE", help="What the export is, where it is recognized wrongly."
)
def init(data: str, name: str, recipe: str) -> None:
    """Recognize the export in DATA, write its mapping and company.yml, and say which reports can be made."""
    from tenure.paths import typed
    from tenure.runs.init import begin
    from tenure.runs.runbook import read_runbook

    for line in begin(typed(data), name, recipe, read_runbook(_runbook_path()).reports, _itself()):
        click.echo(legible.lines(line))


@cli.command()
@click.argument("data")
@click.option(
    "--mapping",
    default="",
    metavar="FILE",
    help="YAML file that maps its columns to those of data/README.md.",
)
@click.option(
    "--as-of", default="", metavar="DAY", help="The last day of the data; later dates are reported."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Company or rule, as for run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(data: str, mapping: str, as_of: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Check that DATA has the tables and columns of data/README.md; exit status 1 if not."""
    import json

    import tenure
    from tenure.economics import read_economics
    from tenure.parameters import optional_date
    from tenure.paths import typed
    from tenure.report.words import things
    from tenure.sources import checks
    from tenure.workbook import with_rules

    given, data, mapping = _settings(settings), typed(data), typed(mapping)
    facts = with_rules(read_economics(given.get("company", ""), data).overriding(given), given)
    source = tenure.open_source(data, mapping, facts.time_zone, facts.observed_until)
    report = checks.check(source, optional_date("as-of", as_of), facts)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1, default=str))
    else:
        for table, rows in report.tables.items():
            click.echo(f"{table}: {things(rows, 'row')}")
        for problem in report.problems:
            click.echo(legible.lines(f"{problem.severity}: {problem.sentence} Fix: {problem.fix}."))
        counts = (things(len(report.errors), "error"), things(len(report.warnings), "warning"))
        click.echo(f"{', '.join(counts)}.")
    sys.exit(1 if report.errors else 0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what a user can fix is said in one sentence, without a traceback."""
    signal.signal(signal.SIGTERM, stop)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started it has closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # it is stopping already
        click.echo(f"Stopped; {_published_by_now() or 'nothing was published'}.", err=True)
        sys.exit(143 if isinstance(error.__cause__ or error, Terminated) else 130)
    except TenureError as error:
        click.echo(f"{error}{_after()}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # nobody reads any more, and Python must not complain
        sys.exit(1)
    except Exception as error:
        if "--debug" in (arguments if arguments is not None else sys.argv):
            raise
        words = refused(error) or unexpected(error, _reports(None).state / "errors.log")
        click.echo(legible.lines(f"{words}{_after()}"), err=True)
        sys.exit(1)


def not_lost(found: Any) -> None:
    """Hear once more of a stop that came where Python drops what is raised."""
    if issubclass(found.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if issubclass(found.exc_type, Terminated) else signal.SIGINT
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(found)


def _after() -> str:
    stands = _published_by_now()
    return f" It happened after {stands}." if stands else ""


def _published_by_now() -> str:
    """Say what a command that ends early has published; empty: nothing."""
    publish = sys.modules.get("tenure.runs.publish")
    index = publish.published_by_now() if publish else None
    return f"the reports had been published: {index}" if index else ""


def _runbook_path() -> Path:
    from tenure.paths import project_root

    return project_root() / "notebooks" / "runbook.yml"


def _reports(folder: str | None) -> Any:
    from tenure.paths import resolve
    from tenure.runs.publish import Reports

    place = Path(folder).absolute() if folder else resolve("reports")
    if place.exists() and not place.is_dir():
        raise InputError(f"{place} is a file and no folder to publish reports to. Fix: name a folder.")
    return Reports(place)


def _published(reports: Any) -> dict[str, Any]:
    if record := reports.published():
        return record
    raise InputError(f"Nothing has been published in {reports.folder} yet. Fix: `tenure run` first.")


def _settings(pairs: Iterable[str]) -> dict[str, str]:
    from tenure.paths import typed

    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(
                f"--set was given {pair!r}. Fix: give a name and a value, as in --set horizon=12."
            )
        path = name.strip() in _PATHS and value != "last"
        settings[name.strip()] = typed(value) if path else value
    return settings


def _demo_on_first_use(reports: Iterable[Report]) -> None:
    from tenure.paths import resolve

    place = resolve("data/demo")
    wanted = any(
        "://" not in str(report.values.get("data") or "://") and resolve(report.values["data"]) == place
        for report in reports
    )
    if wanted and not _holds_data(place):
        _make_demo(place)


def _make_demo(
    place: Path, customers: int = 20_000, months: int = 36, seed: int = 8, force: bool = False
) -> bool:
    """Write the demo company unless it is there with these settings; return whether it was written."""
    import json

    # Beside the folder: what is in it is data.
    stamp = place.parent / f".{place.name}.settings.json"
    settings = {"customers": customers, "months": months, "seed": seed, "code": _demo_code()}
    if _holds_data(place) and not force:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(stamp.read_text(encoding="utf-8")) == settings:
                return False
    from tenure_demo import write_demo

    click.echo(f"Writing the demo company of {customers:,} customers to {place}", err=True)
    began = time.monotonic()
    with writing(place, "write it elsewhere with `tenure demo FOLDER`, and report it by --set data=FOLDER"):
        stamp.unlink(missing_ok=True)
        with click.progressbar(length=customers, file=sys.stderr, label="customers") as bar:
            write_demo(
                place,
                customers=customers,
                months=months,
                seed=seed,
                progress=lambda n: bar.update(n - bar.pos),
            )
        stamp.write_text(json.dumps(settings), encoding="utf-8")
    click.echo(f"Written in {time.monotonic() - began:.0f} s.", err=True)
    return True


def _holds_data(place: Path) -> bool:
    """Whether a folder holds more than company.yml, which is there before the data."""
    return any(path.name != "company.yml" for path in place.glob("*"))


def _demo_code() -> str:
    import tenure_demo
    from tenure.runs.graph import code_digest

    return code_digest(Path(tenure_demo.__file__).parent)


def _summarize(result: Result, index: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if not result.made:
        count = len(result.selected)
        words = "The report is" if count == 1 else f"All {count} reports are"
        console.print(f"Nothing has changed since {result.since}. {words} up to date.")
    elif sys.stdout.isatty():
        table = Table(box=None, pad_edge=False)
        for column in ("report", "state", "seconds", "in short"):
            table.add_column(column, justify="right" if column == "seconds" else "left")
        for name in result.selected:
            state, style, what = _in_short(result, name)
            seconds = f"{result.entries[name]['seconds']:.1f}" if name in result.made else ""
            table.add_row(name, Text(state, style=style), seconds, Text(legible.lines(what)))
        console.print(table)
    else:
        for name in result.selected:
            state, _, what = _in_short(result, name)
            console.print(Text(legible.lines(f"{name}: {state}. {what}".rstrip())))
    for breach in result.breaches:
        said = legible.lines(f"Out of bounds in {breach.report}: {breach.sentence}")
        console.print(Text(said, style="bold red"))
    if index.exists():
        console.print(Text(f"Reports: {index}"))


def _in_short(result: Result, name: str) -> tuple[str, str, str]:
    """A report's state, the color of it, and why it failed or what it found."""
    entry = result.entries[name]
    what = entry["reason"] or next((finding["sentence"] for finding in entry["findings"]), "")
    if name not in result.made and entry["state"] == "ok":
        return "up to date", "dim", what
    return STATES[entry["state"]], _COLORS.get(entry["state"], "red"), what
