"""The commands by name, loaded when asked for, and what their failures look like to a shell."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from jobresults.errors import ConfigurationError, JobResultsError

COMMANDS = {
    "up": "jobresults.cli.up:up",
    "submit": "jobresults.cli.jobs:submit",
    "get": "jobresults.cli.jobs:get",
    "wait": "jobresults.cli.jobs:wait",
    "callbacks": "jobresults.cli.callbacks:callbacks",
    "queues": "jobresults.cli.queues:queues",
    "api-key": "jobresults.cli.api_key:api_key",
    "alerts": "jobresults.cli.alerts:alerts",
    "user": "jobresults.cli.user:user",
    "doctor": "jobresults.cli.doctor:doctor",
    "migrate": "jobresults.cli.services:migrate",
    "web": "jobresults.cli.services:web",
    "worker": "jobresults.cli.services:worker",
    "maintenance": "jobresults.cli.services:maintenance",
}


class _Refused(click.ClickException):
    exit_code = 2


class Commands(click.Group):
    """Imports a command's module when it is asked for; those import what is heavy when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run; a failure of ours becomes one message: exit 2 for the configuration's, else 1."""
        try:
            return super().invoke(ctx)
        except JobResultsError as error:
            wrong_setup = isinstance(error, ConfigurationError)
            raise (_Refused if wrong_setup else click.ClickException)(error.detail) from error
        except ModuleNotFoundError as error:
            if find_spec("sqlalchemy"):  # the service is there: a fault of its own
                raise
            raise click.ClickException(
                f"{ctx.invoked_subcommand} needs the service: pip install 'jobresults[service]'"
            ) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="The YAML file with the settings.  [default: $JOBRESULTS_CONFIG, else ./config.yaml]",
)
@click.version_option(package_name="jobresults")
def main(config: Path | None) -> None:
    """Hand in work, get a job id, come back for the result."""
    if config:
        os.environ["JOBRESULTS_CONFIG"] = str(config)  # child processes read it too


if __name__ == "__main__":
    main(prog_name="jobresults")
