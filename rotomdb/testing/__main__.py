"""`python -m rotomdb.testing`: crash states that lose data, failing disks, readers of damaged files, connection storms."""

from __future__ import annotations

import itertools
import math
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rotomdb.testing.exploration import Result, explore, explore_mutation, fsyncs, workloads
from rotomdb.testing.faults import inject_faults
from rotomdb.testing.fuzz import READERS, fuzz, reader_target, restore_target
from rotomdb.testing.mutations import Kind, Mutation
from rotomdb.testing.payloads import ENCODINGS
from rotomdb.testing.storm import Storm, StormReport
from rotomdb.testing.tool_outputs import crash_tools

VARIANTS = {"left out": [(Kind.LEFT_OUT, 1)], "put off": [(Kind.PUT_OFF, renames) for renames in (1, 2, 3, 5)]}
STATES_PER_TOOL_SEED = 2000  # of the search: with each, the tools are crashed over one more workload
SURVEYED_WORKLOADS = 1400  # to find those that come by each fsync


@click.group()
def main() -> None:
    """Prove what survives: a crash, on a file system in memory that loses what was not synced; damaged files; bad clients."""


def bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


@main.command()
@click.option("--states", default=100_000, show_default=True, help="Distinct crash states to try.")
@click.option("--seed", default=1, show_default=True, help="Where the random workloads begin.")
def power_loss(states: int, seed: int) -> None:
    """Crash random workloads at every operation on the disk, recover, and look for what is missing. Then the same with the
    tools that make data directories.

    Exit status 1 when anything promised was lost.
    """
    with bar(Console(stderr=True)) as progress:
        task = progress.add_task("crash states", total=states)
        result = explore(states, workloads(seed), progress=lambda so_far: progress.update(task, completed=so_far.total))
    if not result.losses:
        crash_tools(range(seed, seed + max(states // STATES_PER_TOOL_SEED, 1)), result=result)
    print_result(result)
    sys.exit(1 if result.losses else 0)


def print_result(result: Result) -> None:
    console = Console()
    table = Table("states", "power lost right after")
    for point, count in result.states.most_common():
        table.add_row(str(count), point)
    console.print(table)
    console.print(
        f"{result.total} states: {result.recovered} recovered, {sum(result.refused.values())} refused with an explanation; "
        f"{result.nested} of them are crashes of a recovery. Losses: {len(result.losses)}."
    )
    for text, count in result.refused.most_common():
        console.print(f"refused {count} times: {text}")
    for loss in result.losses:
        console.print(f"LOST: {loss}")


@main.command()
@click.option("--seed", default=1, show_default=True)
@click.option("--every", default=1, show_default=True, help="Fail only one call of so many.")
def faults(seed: int, every: int) -> None:
    """Fail each call on the disk in turn, in several ways, and see that nothing is lost and the server comes back.

    Exit status 1 when something goes wrong.
    """
    with bar(Console(stderr=True)) as progress:
        task = progress.add_task("faults")
        result = inject_faults(
            seed, every=every,
            progress=lambda so_far, expected: progress.update(task, completed=so_far.total, total=expected),
        )  # fmt: skip
    console = Console()
    table = Table("faults", "the call that failed")
    for site, count in result.tried.most_common():
        table.add_row(str(count), site)
    console.print(table)
    for kind, count in result.kinds.most_common():
        console.print(f"{count} times {kind}")
    console.print(f"{result.total} faults; {result.refused_starts} starts refused. Problems: {len(result.problems)}.")
    for problem in result.problems[:20]:
        console.print(problem)
    sys.exit(1 if result.problems else 0)


@main.command()
@click.option(
    "--states",
    default=4_000,
    show_default=True,
    help="Crash states to try, in each setting, before an fsync counts as useless.",
)
@click.option("--seed", default=1, show_default=True)
def mutations(states: int, seed: int) -> None:
    """Leave out each fsync in turn, and put each off behind the next rename, or the one after: the search has to notice.

    Exit status 1 when it does not notice one.
    """
    console = Console()
    sites = fsyncs(itertools.islice(workloads(seed), SURVEYED_WORKLOADS))
    table = Table("fsync", "kind", "noticed after", "how")
    missed = 0
    with bar(Console(stderr=True)) as progress:
        task = progress.add_task("fsyncs", total=len(sites) * len(VARIANTS))
        for site, name in itertools.product(sorted(sites), VARIANTS):
            for kind, renames in VARIANTS[name]:
                result = explore_mutation(states, sites[site], Mutation(site, kind, renames))
                if result.losses:
                    behind = f" behind {renames} renames" if renames > 1 else ""
                    table.add_row(site, name + behind, f"{result.total} states", result.losses[0].problem)
                    break
            else:
                missed += 1
                table.add_row(site, name, "not noticed", f"{result.total} states of {len(sites[site])} workloads")
            progress.advance(task)
    console.print(table)
    sys.exit(1 if missed else 0)


@main.command("fuzz")
@click.option("--reader", "readers", type=click.Choice(tuple(READERS)), multiple=True, help="Default: all of them.")
@click.option("--minutes", type=float, help="Of processor time, for each reader; default: 1, with --restores no limit.")
@click.option(
    "--restores", default=0, help="Instead of feeding readers, RESTORE so many payloads and use what comes of them."
)
@click.option(
    "--encoding",
    "encodings",
    type=click.Choice(tuple(ENCODINGS)),
    multiple=True,
    help="Of --restores; default: all of them.",
)
@click.option("--seed", default=0, show_default=True, help="Another one makes other inputs.")
@click.option("--first", default=0, show_default=True, help="The round to begin with.")
@click.option(
    "--keep",
    default="fuzz-findings",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where inputs go that break a reader.",
)
@click.argument("files", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def fuzz_readers(
    readers: tuple[str, ...],
    minutes: float | None,
    restores: int,
    encodings: tuple[str, ...],
    seed: int,
    first: int,
    keep: Path,
    files: Path | None,
) -> None:
    """Feed the readers with damaged versions of the RDB and AOF files below FILES, and with files of wrong structure.

    With --restores: RESTORE payloads of wrong structure whose checksums are right, and run commands on what was accepted.

    Exit status 1 when one crashed, hung, raised what it should not, or wanted more than a gigabyte.
    """
    problems = 0
    seconds = 60 * (minutes or (math.inf if restores else 1.0))
    if restores:
        targets = [restore_target(encodings or tuple(ENCODINGS), files, seed)]
    elif files is None:
        raise click.UsageError("a directory with RDB and AOF files is needed, or --restores")
    else:
        targets = [reader_target(name, files, seed) for name in readers or tuple(READERS)]
    for target in targets:
        report = fuzz(target, keep, cpu_seconds=seconds, rounds=restores or None, first=first)
        click.echo(
            f"{target.name}: {report.rounds} inputs of seed {seed} in {report.cpu_seconds:.0f} s of processor time, "
            f"{len(report.problems)} problems"
        )
        for problem in report.problems:
            click.echo(f"  {problem}")
        problems += len(report.problems)
    sys.exit(1 if problems else 0)


@main.command()
@click.option("--minutes", default=1.0, show_default=True, help="How long.")
@click.option("--crowd", default=10_000, show_default=True, help="Connections at once.")
@click.option("--seed", default=1, show_default=True, help="Another one makes other attacks.")
def storm(minutes: float, crowd: int, seed: int) -> None:
    """Attack a server with connections of every bad kind, and see that it stays, flat, and serves everybody else rightly.

    Exit status 1 when it does not.
    """
    with tempfile.TemporaryDirectory(prefix="rotomdb-storm-") as directory, bar(Console(stderr=True)) as progress:
        task = progress.add_task("seconds", total=round(60 * minutes))
        report = Storm(Path(directory), seconds=60 * minutes, crowd=crowd, seed=seed).run(
            lambda seconds: progress.update(task, completed=round(seconds))
        )
    print_storm(report)
    sys.exit(1 if report.problems else 0)


def print_storm(report: StormReport) -> None:
    for name, count in sorted(report.attacks.items()):
        click.echo(f"{count:7} {name.replace('_', ' ')}")
    click.echo(
        f"{report.seconds:.0f} s, {report.accepted} connections accepted; {report.crowds} crowds, {report.largest_crowd} served at "
        f"once, {report.turned_away} turned away; {report.shortages} times out of descriptors"
    )
    click.echo(
        f"resident memory: {report.start_mb:.1f} MB at the start, {report.first_calm_mb:.1f} MB after the first round, at most "
        f"{report.peak_mb:.1f} MB, {report.end_mb:.1f} MB at the end"
    )
    click.echo(
        f"{report.testimony.replies} replies compared, the longest wait for one {report.testimony.longest_s:.2f} s"
    )
    click.echo(", ".join(f"{count} {name}" for name, count in report.faults.items()))
    click.echo(f"Problems: {len(report.problems)}.")
    for problem in report.problems[:20]:
        click.echo(problem)


if __name__ == "__main__":
    main()
