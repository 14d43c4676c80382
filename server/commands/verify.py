"""`banditd verify`: every byte of a data directory checked, and what a start would do."""

from pathlib import Path

import click

from server.exit_codes import ExitCode
from server.inspection.findings import Finding, Verdict
from server.inspection.holder import holder
from server.inspection.outlook import outlook, require_state
from server.inspection.progress import replaying
from server.inspection.verifying import damaged, verified


@click.command("verify")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify(*, directory: Path) -> None:
    """Check every byte of the data directory DIR, and say what a start would do. Changes nothing.

    A running server is not disturbed. Exits with 0 if all is good, with 6 for damage, 5 for what cannot be
    read.
    """
    require_state(directory)
    process = holder(directory)
    findings = []
    for finding in verified(directory, live=process is not None):
        findings.append(finding)
        click.echo(f"{finding.verdict:<10}  {finding.file}: {finding.detail}")
    with replaying() as progress:
        said, starts = outlook(directory, process, progress)
    bad = damaged(findings)
    click.echo("nothing is damaged" if not bad else f"{len(bad)} found damaged or unreadable")
    click.echo(said)
    raise SystemExit(_code(bad, starts=starts))


def _code(bad: list[Finding], *, starts: bool) -> ExitCode:
    if any(finding.verdict is Verdict.UNREADABLE for finding in bad):
        return ExitCode.FILES
    return ExitCode.DATA if bad or not starts else ExitCode.OK
