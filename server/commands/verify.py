"""`banditd verify`: every byte of a data directory checked, and what a start would do."""

import json
from dataclasses import asdict
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
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON; docs/inspect.md names the keys.")
def verify(*, directory: Path, as_json: bool) -> None:
    """Check every byte of the data directory DIR, and say what a start would do. Changes nothing.

    A running server is not disturbed. Exits with 0 if all is good, with 6 for damage, 5 for what cannot be
    read.
    """
    require_state(directory)
    process = holder(directory)
    findings = []
    for finding in verified(directory, live=process is not None):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.verdict:<10}  {finding.file}: {finding.detail}")
    with replaying() as progress:
        said, starts = outlook(directory, process, progress)
    bad = damaged(findings)
    if as_json:
        files = [asdict(finding) for finding in findings]
        found = {"path": str(directory), "process": process, "files": files, "start": said, "starts": starts}
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo("nothing is damaged" if not bad else f"{len(bad)} found damaged or unreadable")
        click.echo(said)
    raise SystemExit(_code(bad, starts=starts))


def _code(bad: list[Finding], *, starts: bool) -> ExitCode:
    if any(finding.verdict is Verdict.UNREADABLE for finding in bad):
        return ExitCode.FILES
    return ExitCode.DATA if bad or not starts else ExitCode.OK
