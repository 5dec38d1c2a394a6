"""Command line: ``python -m include.training card [--model X] [--version N]`` prints the path of a model card."""

from __future__ import annotations

import argparse
import os
import sys

from include.errors import PerennialError
from include.settings import UMASK


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m include.training", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    card = commands.add_parser("card", help="print where the card of a version lies")
    card.add_argument("--model", help="may be left out where only one has versions")
    card.add_argument("--version", help="a packaged version; default: the champion")
    asked = parser.parse_args(arguments)
    try:
        from include.registry.bundles import BundleStore
        from include.training import card_file

        print(card_file.find(BundleStore.default(), asked.model, asked.version))
    except PerennialError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.umask(UMASK)
    sys.exit(main())
