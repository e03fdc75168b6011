"""The docker command."""

import subprocess


class DockerFailed(Exception):
    """The message is the last line that the command complained in."""


def docker(*arguments, timeout=600, **options):
    """What the command prints."""
    return output("docker", *arguments, timeout=timeout, **options)


def output(*command, timeout, stderr=subprocess.PIPE, **options):
    try:
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=timeout, **options)
    except FileNotFoundError:
        raise DockerFailed(f"there is no command {command[0]}") from None
    except subprocess.TimeoutExpired:
        raise DockerFailed(f"{' '.join(command)} did not end within {timeout} s") from None
    if run.returncode:
        complaints = (run.stderr or run.stdout).strip().splitlines()
        raise DockerFailed(complaints[-1] if complaints else f"{' '.join(command)} exited with {run.returncode}")
    return run.stdout.strip()


def compose(*arguments, timeout=600, **options):
    """The plugin `docker compose`, or the older docker-compose where there is none."""
    return output(*compose_command(), *arguments, timeout=timeout, **options)


def compose_command():
    try:
        docker("compose", "version")
        return ["docker", "compose"]
    except DockerFailed:
        return ["docker-compose"]
