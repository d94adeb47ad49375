import sys

try:
    from lab.cli import main

    status = main()
except ModuleNotFoundError as error:
    if error.name and error.name.split(".")[0] == "lab":
        raise
    sys.exit(f"error: the Python package {error.name} is missing: use the .venv's Python (make up makes it)")

sys.exit(status)
