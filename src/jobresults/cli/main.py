"""The commands by name, loaded when asked for, and what their failures look like to a shell."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from jobresults.errors import ConfigurationError, JobResultsError, NotFound, Unavailable

COMMANDS = {
    "up": "jobresults.cli.up:up",
    "submit": "jobresults.cli.submit:submit",
    "get": "jobresults.cli.get:get",
    "wait": "jobresults.cli.wait:wait",
    "logs": "jobresults.cli.logs:logs",
    "list": "jobresults.cli.listing:list_",
    "cancel": "jobresults.cli.changes:cancel",
    "rerun": "jobresults.cli.changes:rerun",
    "tasks": "jobresults.cli.tasks:tasks",
    "populate": "jobresults.cli.populate:populate",
    "queues": "jobresults.cli.queues:queues",
    "workers": "jobresults.cli.workers:workers",
    "callbacks": "jobresults.cli.callbacks:callbacks",
    "alerts": "jobresults.cli.alerts:alerts",
    "user": "jobresults.cli.user:user",
    "api-key": "jobresults.cli.api_key:api_key",
    "login": "jobresults.cli.login:login",
    "logout": "jobresults.cli.login:logout",
    "whoami": "jobresults.cli.login:whoami",
    "config": "jobresults.cli.config:config",
    "open": "jobresults.cli.open:open_",
    "doctor": "jobresults.cli.doctor:doctor",
    "completion": "jobresults.cli.completion:completion",
    "migrate": "jobresults.cli.services:migrate",
    "web": "jobresults.cli.services:web",
    "worker": "jobresults.cli.services:worker",
    "maintenance": "jobresults.cli.services:maintenance",
}


# Failures of the service's own parts exit as those of calls do (connection.py).
_EXIT_CODES = ((ConfigurationError, 2), (NotFound, 6), (Unavailable, 7))


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
        """Run; a failure of ours becomes one message and an exit code. After Ctrl-C, also at a
        prompt, that is 130.
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
            click.echo(f"Error: {error.detail}", err=True)
            sys.exit(next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1))
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
