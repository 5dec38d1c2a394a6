"""Command line: ``python -m include.cards [--model X] [--version N]`` prints the path of a model card."""

from __future__ import annotations

import argparse
import os
import sys

from include.errors import PerennialError
from include.settings import UMASK


def main(arguments: list[str] | None = None) -> int:
    """Print the path; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.cards", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="may be omitted if only one model has versions")
    parser.add_argument("--version", help="a packaged version; default: the champion")
    asked = parser.parse_args(arguments)
    try:
        from include.cards import card_file
        from include.registry.bundles import BundleStore

        print(card_file.find(BundleStore.default(), asked.model, asked.version))
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.umask(UMASK)
    sys.exit(main())
