"""`jobresults completion`: the script by which a shell completes commands, options and names."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")
_PATIENCE_SECONDS = 1.0


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print a script by which a shell completes commands and names.

    \b
    bash: eval "$(jobresults completion bash)"        in ~/.bashrc
    zsh:  eval "$(jobresults completion zsh)"         in ~/.zshrc
    fish: jobresults completion fish | source         in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows all of them"
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, "jobresults", "_JOBRESULTS_COMPLETE").source(), nl=False)


def task_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The tasks whose names begin so, asked of the service; none if it does not answer in a second.

    For `shell_complete`.
    """
    from jobresults.cli.connection import chosen_service
    from jobresults.client import Client

    try:
        service = chosen_service()
        with Client(service.url, service.token, timeout=_PATIENCE_SECONDS) as client:
            names = [str(task["name"]) for task in client.tasks()]
    except Exception:  # noqa: BLE001 - whatever is wrong, a shell that completes is no place to say so
        return []
    return [name for name in names if name.startswith(incomplete)]
