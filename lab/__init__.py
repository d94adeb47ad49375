"""An embedded single-node Kubernetes: finds or builds every program, starts it in its own network namespace,
and takes it down again leaving nothing behind. `python -m lab --help` lists the commands."""
