"""The recipe's data source as a folder of files on this machine."""

from pathlib import Path

from recstack_training import media, synthetic
from recstack_training.artifacts import download
from recstack_training.context import Context
from recstack_training.errors import BadInput


def resolve(ctx: Context, scratch: Path) -> Path:
    """Generate (by way of ``scratch``), download or just find the files; return their folder."""
    source = ctx.recipe.data.source
    if source.volume:
        folder = ctx.data / source.volume.path
        if not folder.is_dir():
            raise BadInput(
                "MissingFile", f"The data volume has no folder {source.volume.path!r}.", source.volume.path
            )
        return folder
    if source.s3:
        folder = ctx.run / "source"
        tables = ctx.recipe.data.tables
        wanted = (tables.interactions.path, tables.users.path, tables.items.path, *media.patterns(ctx.recipe))
        download(source.s3, wanted, folder)
        return folder
    params = source.synthetic
    if params is None:
        raise BadInput("InvalidRecipe", "data.source names none of synthetic, volume, s3; name one.")
    folder = ctx.work / "data" / f"synthetic-{synthetic.digest(params)}"
    synthetic.generate(params, folder, ctx.data, scratch)
    return folder
