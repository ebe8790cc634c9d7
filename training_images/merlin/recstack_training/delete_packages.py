"""``python -m recstack_training.delete_packages``: the end of a stack with packages beyond its volumes."""

import argparse
import sys

from recstack_training import packages
from recstack_training.artifacts import open_store
from recstack_training.errors import BAD_INPUT_EXIT_CODE, BadInput


def main() -> int:
    """Delete the packages of one stack; 0 when none is left."""
    parser = argparse.ArgumentParser(prog="delete_packages", description=__doc__)
    parser.add_argument("--artifacts", required=True, help="file:///... or s3://bucket/prefix")
    parser.add_argument("--stack", required=True, help="namespace/name")
    arguments = parser.parse_args()
    try:
        for name in packages.delete(open_store(arguments.artifacts), arguments.stack):
            print(f"deleted packages/{name}")
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD_INPUT_EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
