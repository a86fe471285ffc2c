"""Job ids as arguments and from standard input."""

from __future__ import annotations

import click
from click.testing import CliRunner, Result

from jobresults.cli.job_ids import JobIds, job_ids_argument

ONE, TWO = "019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"


@click.command()
@job_ids_argument(required=False)
def command(job_ids: JobIds) -> None:
    click.echo(f"{job_ids.is_single} {job_ids.are_given} {' '.join(job_ids.ids)}".rstrip())


def run(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(command, arguments, input=text)


def test_ids_come_once_each_in_their_order() -> None:
    assert run(ONE.upper()).stdout == f"True True {ONE}\n"
    assert run(TWO, ONE, TWO).stdout == f"False True {TWO} {ONE}\n"
    assert run().stdout == "False False\n"


def test_standard_input_has_ids_or_jobs() -> None:
    lines = f'{ONE}\n\n{{"job_id": "{TWO}", "state": "queued"}}\n{{"job_id": null}}\n'
    assert run("-", text=lines).stdout == f"False True {ONE} {TWO}\n"
    assert run("-").stdout == "False True\n"


def test_what_is_no_id_is_wrong_usage() -> None:
    for arguments, text in ((["x"], ""), (["-"], "x\n"), (["-"], "{broken\n")):
        refused = run(*arguments, text=text)
        assert refused.exit_code == 2
        assert "is no job id" in refused.stderr
