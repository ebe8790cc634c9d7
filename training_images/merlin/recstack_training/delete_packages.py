"""``python -m recstack_training.delete_packages``: the end of a stack with packages beyond its volumes."""

import argparse
import sys

from recstack_training import offline, packages
from recstack_training.artifacts import open_store
from recstack_training.errors import BAD_INPUT_EXIT_CODE, BadInput


def main() -> int:
    """Delete the packages and the offline features of one stack; 0 when none is left."""
    parser = argparse.ArgumentParser(prog="delete_packages", description=__doc__)
    parser.add_argument("--artifacts", required=True, help="file:///... or s3://bucket/prefix")
    parser.add_argument("--stack", required=True, help="namespace/name")
    arguments = parser.parse_args()
    try:
        store = open_store(arguments.artifacts)
        for name in packages.delete(store, arguments.stack):
            print(f"deleted packages/{name}")
        if offline.delete(store, arguments.stack):
            print(f"deleted {offline.FOLDER}/{arguments.stack}")
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD_INPUT_EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
