"""YAML as a person writes it: keys in their order, texts of several lines as blocks."""

import yaml


def dumped(*documents: object) -> str:
    """One document, or several with a line of three dashes before each."""
    return yaml.dump_all(documents, Dumper=_Readable, sort_keys=False, explicit_start=len(documents) > 1)


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks, and no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_Readable.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)
