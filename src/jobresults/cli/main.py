"""The commands by name, loaded when asked for, and what their failures look like to a shell."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from jobresults.errors import ConfigurationError, JobResultsError

COMMANDS = {
    "up": "jobresults.cli.up:up",
    "submit": "jobresults.cli.jobs:submit",
    "get": "jobresults.cli.jobs:get",
    "wait": "jobresults.cli.jobs:wait",
    "populate": "jobresults.cli.populate:populate",
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
        """Run; a failure of ours becomes one message: exit 2 for the configuration's, else 1. After
        Ctrl-C, also at a prompt, the exit code is 130.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(130)
        except click.Abort as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                sys.exit(130)
            raise
        except JobResultsError as error:
            wrong_setup = isinstance(error, ConfigurationError)
            raise (_Refused if wrong_setup else click.ClickException)(error.detail) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    help="The YAML file with the settings.  [default: $JOBRESULTS_CONFIG, else ./config.yaml]",
)
@click.option(
    "--url",
    metavar="URL",
    help="The service to call.  [default: $JOBRESULTS_URL, else that of `jobresults up` in this "
    "directory, else that of the newest login]",
)
@click.version_option(package_name="jobresults")
def main(config: Path | None, url: str | None) -> None:
    """Hand in work, get a job id, come back for the result."""
    if config:
        os.environ["JOBRESULTS_CONFIG"] = str(config)  # child processes read it too
    if url:
        os.environ["JOBRESULTS_URL"] = url


if __name__ == "__main__":
    main(prog_name="jobresults")
