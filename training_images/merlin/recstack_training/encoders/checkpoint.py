"""A published checkpoint: where its files are, and the one door to transformers."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recstack_crds.v1alpha1.embeddings import Embedding, Hub

# Its import chooses the Keras that all of the process has, and quiets transformers.
from recstack_training import merlin_tf  # noqa: F401
from recstack_training.artifacts import download
from recstack_training.context import Context
from recstack_training.errors import BadInput

WEIGHTS = ("model.safetensors", "tf_model.h5")
"""Either is enough; the first that is there is read. Pickles (``*.bin``) are not: they are code."""
SMALL = (
    "config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    "vocab.json", "merges.txt", "special_tokens_map.json", "modules.json", "sentence_bert_config.json",
    "1_Pooling/config.json",
)  # fmt: skip


def transformers() -> Any:
    """The library, quiet and without telemetry."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import transformers as library

    return library


def folder(ctx: Context, one: Embedding, scratch: Path) -> Path:
    """The checkpoint's folder on this machine; S3's is put into ``scratch``, the hub's into the work volume.

    Raises:
        BadInput: it is not there, or lacks what is needed.
    """
    weights = one.encoder.weights
    if weights.volume:
        found = ctx.weights / weights.volume.claim_name / weights.volume.path
        where = f"{weights.volume.path or '.'} on claim {weights.volume.claim_name}"
    elif weights.s3:
        download(weights.s3, (*SMALL, *WEIGHTS), scratch)
        found, where = scratch, f"s3://{weights.s3.bucket}/{weights.s3.prefix}"
    else:
        found, where = _from_hub(one.model, weights.hub or Hub(), ctx.work / "hub"), f"{one.model} on the hub"
    for names in (("config.json",), WEIGHTS):
        if not any((found / name).is_file() for name in names):
            raise BadInput(
                "MissingWeights",
                f"features.embeddings {one.name}: {where} has no {' or '.join(names)}; "
                f"put the files of {one.model} there as the hub has them.",
                names[0],
            )
    return found


def digest(found: Path) -> str:
    """SHA-256 of the weights."""
    with next(found / name for name in WEIGHTS if (found / name).is_file()).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(of: Any, found: Path, unused: Sequence[str] = ()) -> Any:
    """A model of class ``of``; ``unused`` are parts of names of weights that it may lack.

    Raises:
        BadInput: the file lacks other weights, or is another model's.
    """
    safe = (found / WEIGHTS[0]).is_file()
    try:
        model, about = of.from_pretrained(
            str(found), local_files_only=True, use_safetensors=safe, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise BadInput("InvalidWeights", f"The checkpoint cannot be read: {error}") from error
    missing = [name for name in about["missing_keys"] if not any(part in name for part in unused)]
    if missing or about["mismatched_keys"]:
        raise BadInput(
            "InvalidWeights",
            f"The checkpoint does not fit its config.json: {len(missing)} weights are missing, such as "
            f"{(missing or about['mismatched_keys'])[0]}; use the files of one model.",
        )
    return model


def _from_hub(model: str, hub: Hub, cache: Path) -> Path:
    """A snapshot; one that is in ``cache`` serves when the hub cannot be reached."""
    transformers()
    import huggingface_hub
    import requests
    from huggingface_hub import errors

    try:
        names = huggingface_hub.HfApi().list_repo_files(model, revision=hub.revision)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise BadInput(
            "MissingWeights", f"The hub has no {model} at revision {hub.revision} for everybody to read."
        ) from error
    except (errors.HfHubHTTPError, requests.RequestException, errors.OfflineModeIsEnabled) as error:
        try:
            kept = huggingface_hub.snapshot_download(
                model, revision=hub.revision, cache_dir=cache, local_files_only=True
            )
            return Path(kept)
        except errors.LocalEntryNotFoundError:
            raise RuntimeError(
                f"{model} cannot be fetched from the hub ({type(error).__name__}): let the pods of training "
                "reach it, or name weights.volume or weights.s3"
            ) from error
    weights = next((name for name in WEIGHTS if name in names), WEIGHTS[0])
    kept = huggingface_hub.snapshot_download(
        model, revision=hub.revision, cache_dir=cache, allow_patterns=[*SMALL, weights]
    )
    return Path(kept)
