"""Where checkpoints come from: S3 and the hub, over HTTP with the real clients; a volume is in test_embed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hub_server
import illustrated
import numpy as np
import pytest
import s3_server
from recstack_crds.v1alpha1.embeddings import Embedding
from recstack_training.context import Context
from recstack_training.encoders import checkpoint
from recstack_training.encoders.image import ImageEncoder
from recstack_training.errors import BadInput
from runs import context

HUB = """
import sys
from pathlib import Path
from recstack_crds.v1alpha1.embeddings import Hub
from recstack_training.encoders import checkpoint
from recstack_training.errors import BadInput
try:
    print(checkpoint._from_hub(sys.argv[1], Hub(), Path(sys.argv[2])))
except (BadInput, RuntimeError) as error:
    print(f"{type(error).__name__}: {error}")
"""
"""In a process of its own: the client reads the hub's address when it is imported."""


def _embedding(**weights: Any) -> Embedding:
    return Embedding.model_validate(
        {"name": "look", "from": {"image": {"path": "{id}.png"}}, "encoder": {"weights": weights}}
    )


def _files(checkpoints: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (checkpoints / "checkpoints" / "clip").iterdir()}


def _context(root: Path) -> Context:
    return context(illustrated.recipe(), root)


def test_from_s3(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with s3_server.serve() as server:
        for name, content in _files(checkpoints).items():
            server.objects[f"models/clip/{name}"] = content
        server.objects["models/clip/pytorch_model.bin"] = b"a pickle: code, never fetched"
        one = _embedding(s3={"bucket": s3_server.BUCKET, "prefix": "models/clip", "endpoint": server.url})
        found = checkpoint.folder(_context(tmp_path), one, tmp_path / "scratch")
    assert {path.name for path in found.iterdir()} == set(_files(checkpoints))
    assert ImageEncoder(found).width == 24
    assert checkpoint.digest(found) == checkpoint.digest(checkpoints / "checkpoints" / "clip")


def test_s3_without_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with s3_server.serve() as server:
        server.objects["models/clip/config.json"] = b"{}"
        one = _embedding(s3={"bucket": s3_server.BUCKET, "prefix": "models/clip", "endpoint": server.url})
        with pytest.raises(
            BadInput, match=r"s3://things/models/clip has no model.safetensors or tf_model.h5"
        ):
            checkpoint.folder(_context(tmp_path), one, tmp_path / "scratch")


def _fetch(endpoint: str, model: str, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HUB, model, str(cache)],
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HOME": str(cache)},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return done.stdout.strip()


def test_from_the_hub_and_from_what_is_kept_of_it(checkpoints: Path, tmp_path: Path) -> None:
    files = _files(checkpoints) | {"tf_model.h5": b"the same again", "pytorch_model.bin": b"a pickle"}
    with hub_server.serve(files) as server:
        url = server.url
        found = Path(_fetch(url, hub_server.MODEL, tmp_path))
        assert found.name == hub_server.COMMIT
        assert sorted(server.asked) == sorted(_files(checkpoints)), "weights once, and no pickles"
        assert "BadInput: The hub has no nobody/nothing" in _fetch(url, "nobody/nothing", tmp_path)
    assert Path(_fetch(url, hub_server.MODEL, tmp_path)) == found, "the hub is away, the work volume is not"
    vectors, read = ImageEncoder(found)([])
    assert vectors.shape == (0, 24)
    assert read.dtype == np.bool_


def test_a_hub_that_nobody_reaches(tmp_path: Path) -> None:
    """No bad input: it may be there again when the Job tries again."""
    told = _fetch("http://127.0.0.1:9", hub_server.MODEL, tmp_path)
    assert told.startswith("RuntimeError: somebody/tiny-clip cannot be fetched from the hub")
    assert "weights.volume or weights.s3" in told
