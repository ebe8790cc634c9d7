"""Sentence-BERT (Reimers & Gurevych 2019, arXiv:1908.10084): a transformer, its tokens pooled into one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recstack_training.encoders import checkpoint
from recstack_training.errors import BadInput
from recstack_training.pca import Floats

BATCH = 64


class TextEncoder:
    """The checkpoint in ``folder``, as sentence-transformers lays it out; else the mean, unscaled."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        library = checkpoint.transformers()
        self._model = checkpoint.load(library.TFAutoModel, folder, ("pooler",))
        self._tokenizer = library.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        pooling = _json(folder / "1_Pooling" / "config.json")
        modes = {key for key, value in pooling.items() if key.startswith("pooling_mode_") and value}
        if modes - {"pooling_mode_mean_tokens", "pooling_mode_cls_token"} or len(modes) > 1:
            raise BadInput("InvalidWeights", f"Pooling by {', '.join(sorted(modes))} is not known.")
        first = modes == {"pooling_mode_cls_token"}
        modules = (
            json.loads((folder / "modules.json").read_text()) if (folder / "modules.json").is_file() else []
        )
        unit = any(str(module["type"]).endswith("Normalize") for module in modules)
        most = _json(folder / "sentence_bert_config.json").get("max_seq_length")
        self._longest = min(
            most or self._tokenizer.model_max_length, self._model.config.max_position_embeddings
        )
        self.width: int = self._model.config.hidden_size
        names = self._tokenizer.model_input_names

        @tf.function(input_signature=[{name: tf.TensorSpec([None, None], tf.int32) for name in names}])  # type: ignore[untyped-decorator]
        def encode(inputs: dict[str, Any]) -> Any:
            tokens = self._model(inputs).last_hidden_state
            mask = tf.cast(inputs["attention_mask"], tf.float32)[..., None]
            pooled = tokens[:, 0] if first else tf.reduce_sum(tokens * mask, 1) / tf.reduce_sum(mask, 1)
            return tf.math.l2_normalize(pooled, 1) if unit else pooled

        self._encode = encode

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Vectors [N, width]; a text that is too long is cut off."""
        vectors = np.zeros((len(texts), self.width), np.float32)
        # Of like length together: a batch is as wide as its longest.
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            tokens = self._tokenizer(
                [texts[row] for row in rows],
                padding=True, truncation=True, max_length=self._longest, return_tensors="np",
            )  # fmt: skip
            vectors[rows] = self._encode({n: tokens[n].astype(np.int32) for n in tokens}).numpy()
        return vectors


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found
