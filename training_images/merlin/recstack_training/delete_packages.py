"""``python -m recstack_training.delete_packages``: all packages of a stack at its end, or old versions'.

With ``--work`` only the files of the versions that are named go: their packages and their intermediate state.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from recstack_training import offline, packages
from recstack_training.artifacts import open_store
from recstack_training.errors import BAD_INPUT_EXIT_CODE, BadInput

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def delete_runs(work: Path, versions: Sequence[str]) -> list[Path]:
    """Delete the intermediate state of ``versions``; gives the folders that were there."""
    deleted = []
    for version in versions:
        if not NAME.fullmatch(version):
            raise BadInput("InvalidName", f"{version!r} is no version's name.")
        folder = work / "runs" / version
        if folder.is_dir():
            shutil.rmtree(folder)
            deleted.append(folder)
    return deleted


def main(argv: Sequence[str] | None = None) -> int:
    """Delete; 0 when nothing of what was asked for is left."""
    parser = argparse.ArgumentParser(prog="delete_packages", description=__doc__)
    parser.add_argument("--artifacts", required=True, help="file:///... or s3://bucket/prefix")
    parser.add_argument("--stack", required=True, help="namespace/name")
    parser.add_argument("--work", type=Path, help="work volume; only what is named below goes")
    parser.add_argument("--version", action="append", default=[], help="whose folder on the work volume goes")
    parser.add_argument("--package", action="append", default=[], help="sha256:... that goes")
    arguments = parser.parse_args(argv)
    try:
        store = open_store(arguments.artifacts)
        if arguments.work is None:
            names = packages.delete(store, arguments.stack)
            if offline.delete(store, arguments.stack):
                print(f"deleted {offline.FOLDER}/{arguments.stack}")
        else:
            names = packages.delete_some(store, arguments.stack, arguments.package)
            for folder in delete_runs(arguments.work, arguments.version):
                print(f"deleted {folder}")
        for name in names:
            print(f"deleted packages/{name}")
    except BadInput as error:
        print(error, file=sys.stderr)
        return BAD_INPUT_EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
