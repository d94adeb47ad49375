"""The command line."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from lab import paths, report
from lab.errors import Missing


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m lab",
        description="An embedded single-node Kubernetes cluster, on this machine alone.",
        epilog="Exit status: 0 done, 1 something is missing or failed, 2 usage, 3 no cluster can run on this machine.",
    )
    top.add_argument("--state", metavar="DIR", help="the cluster's folder (default: .lab in the repository)")
    top.add_argument("--name", help="the cluster's name, lab1 to lab9 beside another one (default: lab)")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int | None], text: str, rest: str = ""
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        if rest:
            sub.add_argument(
                "argv", nargs=argparse.REMAINDER, metavar=f"-- {rest}", help="the command and its arguments"
            )
        return sub

    command("check", _check, "say whether a cluster can run here, and which right is missing")
    build = command("build", _build, "find or build every program")
    build.add_argument("program", nargs="*", help="only these (default: all but cert-manager, for tests)")
    up = command("up", _up, "start the cluster, or what of it has stopped, and wait until it is ready")
    up.add_argument("--pull-images", action="store_true", help="pull the public images instead of assembling them")
    command("status", _status, "show processes, node and pods; exit status 1 when the cluster is not up")
    command("down", _down, "stop the cluster, and leave nothing of it behind but its data")
    command("reset", _reset, "stop the cluster and delete its data")
    command("run", _run, "run a command with the lab's programs, kubeconfig and Pulumi workspace", "COMMAND")
    node = command("node", _node, "run a command in the node's network, where cluster names resolve", "COMMAND")
    node.add_argument(
        "--etc", metavar="DIR", type=Path, help="DIR/containers, DIR/docker, ... stand in for those in /etc"
    )
    command("demo", _demo, "push a small image to the deployed registry, and run a pod from it")
    serve = command("serve", _serve, "run registry and front as two processes on loopback, until interrupted")
    serve.add_argument("--check", default="", metavar="COMMAND", help="run this once, when both answer")
    serve.add_argument("dir", type=Path, metavar="DIR", help="the folder that holds config.yml and Caddyfile")
    return top


def main(arguments: list[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    if given.state:
        paths.use(given.state)
    if given.name:
        os.environ["LAB_NAME"] = given.name
    try:
        return given.run(given) or 0
    except Missing as error:
        report.err.print(f"[red]error:[/red] {_plain(error)}")
        return error.exit_code
    except PermissionError as error:
        report.err.print(f"[red]error:[/red] no right to use {error.filename}: run it as root (sudo)")
        return 3
    except KeyboardInterrupt:
        report.say("interrupted")
        return 130


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))


def _check(given: argparse.Namespace) -> int:
    from lab import checks

    found = checks.problems()
    for problem in found:
        report.err.print(f"[red]error:[/red] {_plain(problem)}")
    if not found:
        report.say("A cluster can run here.")
    return 3 if found else 0


def _build(given: argparse.Namespace) -> None:
    from lab import programs

    programs.build_all(given.program)
    programs.link_all()
    report.table(
        "",
        ["program", "version", "where"],
        [
            [name, getattr(programs.TABLE[name].source, "version", ""), str(programs.find(name))]
            for name in programs.wanted(given.program)
        ],
    )


def _up(given: argparse.Namespace) -> None:
    from lab import cluster

    took = cluster.up(given.pull_images)
    if took is None:
        report.say(f"The cluster is up already. kubeconfig: {paths.STATE / 'kubeconfig'}")
    else:
        cluster.summary(took)


def _status(given: argparse.Namespace) -> int:
    from lab import cluster

    return cluster.status()


def _down(given: argparse.Namespace) -> None:
    from lab import cluster

    report.say("The cluster is down; its data is kept." if cluster.down() else "The cluster was down already.")


def _reset(given: argparse.Namespace) -> None:
    from lab import cluster

    cluster.reset()
    report.say("Nothing is left.")


def _argv(given: argparse.Namespace) -> list[str]:
    argv = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
    if not argv:
        raise SystemExit(parser().error("a command is missing: write it after --"))
    return argv


def _run(given: argparse.Namespace) -> int:
    from lab import workspace

    return _replace(_argv(given), workspace.environment())


def _node(given: argparse.Namespace) -> int:
    from lab import node

    return _replace(node.command(_argv(given), given.etc), dict(os.environ))


def _replace(argv: list[str], environment: dict[str, str]) -> int:
    """Become the command."""
    sys.stdout.flush(), sys.stderr.flush()
    try:
        os.execvpe(argv[0], argv, environment)
    except FileNotFoundError:
        raise Missing(f"there is no command {argv[0]}", "check its spelling, or install it") from None


def _demo(given: argparse.Namespace) -> int:
    from lab import demo

    return demo.main()


def _serve(given: argparse.Namespace) -> int:
    from lab import serve

    return serve.foreground(given.dir, given.check)
