"""Where the tables lie and whether they hold what the recipe says: all checks before any work."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from recstack_crds.v1alpha1.data import Tables
from recstack_crds.v1alpha1.features import Feature, Features, Op
from recstack_crds.v1alpha1.models import Segment
from recstack_crds.v1alpha1.modelversion import Days, Recipe

from recstack_training.errors import BadInput

TIME_OPS = frozenset({Op.HOUR_SIN, Op.HOUR_COS, Op.WEEKDAY_SIN, Op.WEEKDAY_COS})
LATEST_SECOND = 10_000_000_000
"""Year 2286: a greater timestamp is not in seconds."""


@dataclass(frozen=True)
class Found:
    """The files of a version: days in order of name, the first ``train`` of which train.

    ``replay``: of a fine-tune, those of the days that train again; the last ``held_out`` days are new then,
    and train and are held out in parts.
    """

    days: tuple[Path, ...]
    users: Path
    items: Path
    train: int
    held_out: int
    replay: tuple[Path, ...] = ()


def all_days(root: Path, recipe: Recipe) -> tuple[Path, ...]:
    """Every day's file under ``root``, in order of name; ``BadInput`` when there is none."""
    tables = recipe.data.tables
    days = tuple(sorted(root.glob(tables.interactions.path)))
    if not days:
        raise BadInput(
            "MissingFile",
            f"No file matches {tables.interactions.path}; expected one Parquet file for each day.",
            tables.interactions.path,
        )
    return days


def between(root: Path, days: Sequence[Path], wanted: Days) -> tuple[Path, ...]:
    """Those of ``days`` from ``wanted.first`` to ``wanted.last``; ``BadInput`` when an end is not there."""
    names = [str(day.relative_to(root)) for day in days]
    for end in (wanted.first, wanted.last):
        if end not in names:
            raise BadInput(
                "MissingFile",
                f"There is no day {end}; days are {names[0]} to {names[-1]}: name two of them.",
                end,
            )
    return tuple(days[names.index(wanted.first) : names.index(wanted.last) + 1])


def locate(root: Path, recipe: Recipe, asked: Days | None = None) -> Found:
    """Find the files under ``root`` of a version from nothing, of the days ``asked`` or the recipe's window.

    ``BadInput`` when a file is missing or there are too few days.
    """
    tables, window = recipe.data.tables, recipe.data.window
    days = all_days(root, recipe)
    if asked is not None:
        days = between(root, days, asked)
        if len(days) <= window.evaluation_days:
            raise BadInput(
                "TooFewDays",
                f"There are {len(days)} days from {asked.first} to {asked.last}, of which evaluationDays "
                f"holds {window.evaluation_days} out; name more days.",
            )
        train = len(days) - window.evaluation_days
        return Found(days, *entities(root, recipe), train, window.evaluation_days)
    wanted = window.train_days + window.evaluation_days
    if len(days) < wanted:
        raise BadInput(
            "TooFewDays",
            f"Found {len(days)} days, but the window asks for {window.train_days} to train and "
            f"{window.evaluation_days} held out; add days or make data.window smaller.",
            tables.interactions.path,
        )
    return Found(days[:wanted], *entities(root, recipe), window.train_days, window.evaluation_days)


def entities(root: Path, recipe: Recipe) -> tuple[Path, Path]:
    """The tables of users and of items under ``root``; ``BadInput`` when one is missing."""
    tables = recipe.data.tables
    for name in (tables.users.path, tables.items.path):
        if not (root / name).is_file():
            raise BadInput("MissingFile", f"{name} does not exist; expected a Parquet file there.", name)
    return root / tables.users.path, root / tables.items.path


def check(found: Found, recipe: Recipe) -> dict[str, int]:
    """Check every file; return rows by file name."""
    check_features(recipe.features, recipe.data.tables)
    tables, features = recipe.data.tables, recipe.features
    users = [feature for feature in features.user if not feature.most_frequent]
    rows = {}
    for path, entity, chosen in (
        (found.users, tables.users, users),
        (found.items, tables.items, features.item),
    ):
        schema, rows[path.name] = _open(path)
        _column(path, schema, entity.id, "integer")
        for feature in chosen:
            _column(path, schema, feature.column, _wanted(feature))
        if rows[path.name] == 0:
            raise BadInput("EmptyTable", f"{path.name} has no rows.", path.name)
        _unique(path, entity.id)
        for feature in chosen:
            _values(path, feature)
    item_schema, _ = _open(found.items)
    for feature in features.user:
        if feature.most_frequent:
            _column(found.items, item_schema, feature.most_frequent, "integer or string")
    if tables.items.title:
        _column(found.items, item_schema, tables.items.title, "string")
    check_segments(found, recipe.evaluation.segments)
    log = tables.interactions
    for day in found.days:
        schema, rows[day.name] = _open(day)
        for column in (log.user, log.item, log.timestamp):
            _column(day, schema, column, "integer")
        for feature in features.context:
            _column(day, schema, feature.column, _wanted(feature))
        if rows[day.name] == 0:
            raise BadInput("EmptyDay", f"{day.name} has no rows; fill it or take it away.", day.name)
        _day(day, (log.user, log.item, log.timestamp))
        for feature in features.context:
            _values(day, feature)
    return rows


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_text(path: Path, id_column: str, column: str) -> int:
    """A table with a text for each item; gives its rows."""
    if not path.is_file():
        raise BadInput(
            "MissingFile", f"{path.name} does not exist; expected a Parquet file there.", path.name
        )
    schema, rows = _open(path)
    _column(path, schema, id_column, "integer")
    _column(path, schema, column, "string")
    _unique(path, id_column)
    return rows


def check_segments(found: Found, segments: Sequence[Segment]) -> None:
    """Every segment's column is in one table."""
    for segment in segments:
        segment_table(found, segment)


def segment_table(found: Found, segment: Segment) -> Path:
    """The one table that has the segment's column; ``BadInput`` when none or both do."""
    having = [path for path in (found.users, found.items) if segment.column in _open(path)[0].names]
    if len(having) == 1:
        return having[0]
    names = f"{found.users.name} and {found.items.name}"
    raise BadInput(
        "AmbiguousColumn" if having else "MissingColumn",
        f"evaluation.segments {segment.name}: {'both' if having else 'neither'} of {names} "
        f"{'have' if having else 'has'} a column {segment.column}; name a column of exactly one of them.",
        column=segment.column,
    )


def check_features(features: Features, tables: Tables) -> None:
    """Chains that no model input can be made of, names used twice, and an item table without its id."""
    every = [*features.user, *features.item, *features.context]
    names = [feature.name for feature in every] + [one.name for one in features.embeddings]
    for name in names:
        if names.count(name) > 1:
            raise BadInput("DuplicateFeature", f"Two features are named {name}; names are unique in a stack.")
    for feature in every:
        if feature.most_frequent:
            _check_derived(feature, features.user, tables.users.id)
        if feature.name.startswith("__") or feature.column.startswith("__"):
            raise BadInput(
                "InvalidName",
                f"{feature.name}: names and columns that begin with __ are taken.",
                column=feature.column,
            )
        _check_chain(feature)
    for kind, chosen, column in (
        ("item", features.item, tables.items.id),
        ("user", features.user, tables.users.id),
    ):
        if not any(f.column == column and [o.op for o in f.ops] == [Op.CATEGORIFY] for f in chosen):
            raise BadInput(
                "MissingId",
                f"No {kind} feature is Categorify of {column}; add one, the models learn by it.",
                column=column,
            )


def _check_chain(feature: Feature) -> None:
    ops = [operator.op for operator in feature.ops]
    wrong = None
    if Op.HASH_BUCKET in ops and len(ops) > 1:
        wrong = "HashBucket must be the only operator"
    elif Op.FILL_MISSING in ops[1:]:
        wrong = "FillMissing must be the first operator"
    elif Op.CATEGORIFY in ops[:-1]:
        wrong = "Categorify must be the last operator"
    elif ops[-1] is Op.CATEGORIFY and ops[-2:-1] not in ([], [Op.BUCKETIZE]):
        wrong = f"Categorify takes texts, whole numbers and Bucketize's, not {ops[-2]}'s"
    elif any(op in TIME_OPS for op in ops[1:]):
        wrong = f"{ops[-1]} must be the first operator"
    elif len(set(ops)) < len(ops):
        wrong = "an operator may appear once in a chain"
    if wrong:
        raise BadInput("InvalidChain", f"{feature.name}: {wrong}.", column=feature.column)
    for operator in feature.ops:
        bounds = operator.boundaries
        if operator.op is Op.BUCKETIZE and (not bounds or bounds != sorted(set(bounds))):
            raise BadInput("InvalidChain", f"{feature.name}: Bucketize needs rising boundaries.")


def _check_derived(feature: Feature, user: list[Feature], key: str) -> None:
    if feature not in user:
        raise BadInput("InvalidDerived", f"{feature.name}: only user features can have mostFrequent.")
    if [operator.op for operator in feature.ops] != [Op.CATEGORIFY]:
        raise BadInput("InvalidDerived", f"{feature.name}: mostFrequent goes with Categorify alone.")
    clash = feature.column == key or any(
        other.column == feature.column and other.most_frequent != feature.most_frequent for other in user
    )
    if clash:
        raise BadInput(
            "InvalidDerived",
            f"{feature.name}: its column is made from the log, but {feature.column} is there; rename it.",
            column=feature.column,
        )


def _wanted(feature: Feature) -> str:
    first = feature.ops[0].op
    if first in (Op.CATEGORIFY, Op.HASH_BUCKET):
        return "integer or string"
    return "integer" if first in TIME_OPS else "number"


def _open(path: Path) -> tuple[pa.Schema, int]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput("NotParquet", f"{path.name} cannot be read as Parquet: {error}.", path.name) from error
    with file:
        return file.schema_arrow, file.metadata.num_rows


def _column(path: Path, schema: pa.Schema, name: str, wanted: str) -> None:
    """One column: there, and of the ``wanted`` type."""
    if name not in schema.names:
        have = ", ".join(schema.names)
        raise BadInput(
            "MissingColumn",
            f"{path.name} has no column {name}, it has {have}; add it or name another in the recipe.",
            path.name,
            name,
        )
    kind = schema.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    integer = pa.types.is_integer(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    good = {
        "integer": integer,
        "string": text,
        "integer or string": integer or text,
        "number": integer or pa.types.is_floating(kind),
    }[wanted]
    if not good:
        raise BadInput(
            "WrongType",
            f"{path.name}: column {name} is {kind}, expected {wanted}; convert it.",
            path.name,
            name,
        )


def _unique(path: Path, column: str) -> None:
    values = pq.read_table(path, columns=[column])[column]
    if values.null_count:
        raise BadInput(
            "NullValue", f"{path.name}: {column} has nulls; every row needs an id.", path.name, column
        )
    if pc.count_distinct(values).as_py() != len(values):
        raise BadInput(
            "DuplicateId", f"{path.name}: {column} has duplicates; keep one row an id.", path.name, column
        )


def _values(path: Path, feature: Feature) -> None:
    """A feature's column: some value, and numbers that its operators can take."""
    name = feature.column
    values = pq.read_table(path, columns=[name])[name].drop_null()
    if len(values) == 0:
        raise BadInput(
            "NoValues",
            f"{path.name}: {name} is null everywhere; fill it or drop the feature.",
            path.name,
            name,
        )
    if _wanted(feature) != "number":
        return
    numbers = values.to_numpy().astype(np.float64)
    if not np.isfinite(numbers).all():
        raise BadInput(
            "NotFinite", f"{path.name}: {name} has infinite or NaN values; make them null.", path.name, name
        )
    fill = feature.ops[0].value
    least = numbers.min() if fill is None else min(numbers.min(), fill)
    if next((o.op for o in feature.ops if o.op is not Op.FILL_MISSING), None) is Op.LOG and least <= -1:
        raise BadInput(
            "OutOfRange",
            f"{path.name}: {name} reaches {least}, LogOp takes log(x + 1): expected values above -1.",
            path.name,
            name,
        )


def _day(path: Path, columns: tuple[str, str, str]) -> None:
    table = pq.read_table(path, columns=list(columns))
    for column in columns:
        if table[column].null_count:
            raise BadInput(
                "NullValue", f"{path.name}: {column} has nulls; drop those rows.", path.name, column
            )
    latest = int(np.asarray(table[columns[2]]).max())
    if latest > LATEST_SECOND:
        raise BadInput(
            "WrongUnit",
            f"{path.name}: {columns[2]} reaches {latest}, expected seconds since 1970; divide it.",
            path.name,
            columns[2],
        )
