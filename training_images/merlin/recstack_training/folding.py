"""A ranker's ONNX graph, rewritten to do less for each candidate and give the same.

tf2onnx writes what Keras does, and Keras knows nothing of requests: it works out the indices of a triangle
from the shape of each batch, and embeds a person once for each candidate. Here what depends on nothing but
shapes becomes a constant, and what depends on the request alone is done once: those inputs may have one row
for all rows of the others (or, as before, a row each). DLRM: Naumov et al. 2019, arXiv:1906.00091.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from recstack_triton_templates.stages.dlrm_ranking import REQUESTS
from recstack_triton_templates.stages.transforms import Array

SIZES = (2, 7)
"""Batches that tell whether what depends on shapes alone depends on the number of rows."""


class Graph:
    """A flat graph that is rewritten: who makes a tensor, which tensors are constants."""

    def __init__(self, model: Any) -> None:
        self.model, self.proto = model, model.graph
        self.constants = {one.name: numpy_helper.to_array(one) for one in self.proto.initializer}

    @property
    def nodes(self) -> Any:
        """In the order in which they run."""
        return self.proto.node

    def maker(self, tensor: str, kind: str) -> Any | None:
        """The node that makes ``tensor``, if it is of this kind."""
        return next((one for one in self.nodes if tensor in one.output and one.op_type == kind), None)

    def users(self, tensor: str, kind: str) -> list[Any]:
        """Nodes of this kind that take ``tensor``."""
        return [one for one in self.nodes if tensor in one.input and one.op_type == kind]

    def constant(self, name: str, value: Array) -> str:
        """Add one; gives its name."""
        self.constants[name] = value
        return name

    def before(self, node: Any, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node that runs before ``node``; gives its output."""
        made = helper.make_node(kind, inputs, [output], **attributes)
        self.nodes.insert(list(self.nodes).index(node), made)
        return output

    def finish(self) -> None:
        """Leave out what nothing needs, and write the constants back."""
        wanted = {one.name for one in self.proto.output}
        for node in reversed(list(self.nodes)):
            if wanted.isdisjoint(node.output):
                self.nodes.remove(node)
            else:
                wanted.update(node.input)
        del self.proto.initializer[:]
        self.proto.initializer.extend(
            numpy_helper.from_array(np.ascontiguousarray(value), name)
            for name, value in self.constants.items()
            if name in wanted
        )


def fold(model: Any, once: Collection[str]) -> None:
    """Rewrite in place. ``once``: inputs that are the same for all candidates of a request.

    Their first dimension is named ``REQUESTS``: 1, or the number of rows.
    """
    graph = Graph(model)
    _shapes(graph)
    _lookups(graph)
    wide = _wide(graph, once)
    _interactions(graph, wide)
    _first_layers(graph, wide)
    graph.finish()
    for value in model.graph.input:
        if value.name in once:
            value.type.tensor_type.shape.dim[0].dim_param = REQUESTS


def _shapes(graph: Graph) -> None:
    """What depends on shapes only, and is the same for batches of other sizes, becomes a constant."""
    known, found = set(graph.constants), []
    for node in graph.nodes:
        if node.op_type == "Shape" or all(name in known for name in node.input if name):
            known.update(node.output)
            found += node.output
    if not found:
        return
    few, many = (_values(graph.model, found, size) for size in SIZES)
    for name in found:
        if few[name].shape == many[name].shape and np.array_equal(few[name], many[name]):
            graph.constant(name, few[name])
    for node in list(graph.nodes):
        if all(name in graph.constants for name in node.output):
            graph.nodes.remove(node)


def _values(model: Any, names: Collection[str], rows: int) -> dict[str, Array]:
    """Tensors of a run with ``rows`` rows of zeros."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {
        value.name: np.zeros((rows, *value.shape[1:]), np.int64 if "int64" in value.type else np.float32)
        for value in session.get_inputs()
    }
    return dict(zip(names, session.run(list(names), feed), strict=True))


def _lookups(graph: Graph) -> None:
    """Squeeze, Gather, Unsqueeze of codes [N, 1] is one Gather: vectors [N, 1, D]."""
    for last in [one for one in graph.nodes if one.op_type == "Unsqueeze"]:
        axes = graph.constants.get(last.input[1])
        gather = graph.maker(last.input[0], "Gather")
        first = gather and graph.maker(gather.input[1], "Squeeze")
        if gather and first and axes is not None and axes.tolist() == [1]:
            gather.input[1], gather.output[0] = first.input[0], last.output[0]
            graph.nodes.remove(last)


def _wide(graph: Graph, once: Collection[str]) -> set[str]:
    """Tensors that have a row for each candidate."""
    wide = {one.name for one in graph.proto.input} - set(once)
    for node in graph.nodes:
        if not wide.isdisjoint(node.input):
            wide.update(node.output)
    return wide


@dataclass(frozen=True)
class Term:
    """Of the sum that a layer computes: a tensor [N, W], or [1, W], and its weights [W, out]."""

    tensor: str
    weights: Array


def _interactions(graph: Graph, wide: set[str]) -> None:
    """Dot products of all pairs of P vectors, and the layer over them and, maybe, another tensor.

    The products of a request's own vectors are taken once. No triangle is cut out of the others: the layer's
    weights are zero for what is outside of it.
    """
    for gather in [one for one in graph.nodes if one.op_type == "Gather" and one.input[1] in graph.constants]:
        vectors = _vectors(graph, gather)
        matmul, others = _layer_over(graph, gather.output[0])
        if vectors is None or matmul is None or len(others) > 1 or wide.isdisjoint(vectors):
            continue
        weights, size = graph.constants[matmul.input[1]], len(vectors)
        pairs = graph.constants[gather.input[1]].reshape(-1)
        before = len(weights) - len(pairs)
        full = np.zeros((size * size, weights.shape[1]), np.float32)
        full[pairs] = weights[before:]
        terms = [Term(one, weights[:before]) for one in others]
        terms += _products(graph, matmul, vectors, full.reshape(size, size, -1), wide)
        _layer(graph, matmul, terms, wide)


def _vectors(graph: Graph, gather: Any) -> list[str] | None:
    """The P vectors [N, 1, D] whose products [N, P * P] ``gather`` chooses from."""
    reshape = graph.maker(gather.input[0], "Reshape")
    product = reshape and graph.maker(reshape.input[0], "MatMul")
    source = product and graph.maker(product.input[0], "Concat")
    turned = product and graph.maker(product.input[1], "Transpose")
    if product and source and turned and turned.input[0] == product.input[0]:
        return list(source.input)
    return None


def _layer_over(graph: Graph, chosen: str) -> tuple[Any | None, list[str]]:
    """The MatMul of the layer over ``chosen``, and what else goes into it, before."""
    joined = graph.users(chosen, "Concat")
    inputs = list(joined[0].input) if joined else [chosen]
    found = graph.users(joined[0].output[0] if joined else chosen, "MatMul")
    if len(found) != 1 or len(joined) > 1 or inputs[-1] != chosen or found[0].input[1] not in graph.constants:
        return None, []
    return found[0], inputs[:-1]


def _products(graph: Graph, at: Any, vectors: Sequence[str], weights: Array, wide: set[str]) -> list[Term]:
    """Terms of the products of ``vectors``, whose weights are [P, P, out]: within each side, and across."""
    each = [place for place, one in enumerate(vectors) if one in wide]
    once = [place for place, one in enumerate(vectors) if one not in wide]
    across = weights[np.ix_(each, once)] + weights[np.ix_(once, each)].swapaxes(0, 1)
    joined, turned = {}, {}
    for side, places in (("each", each), ("once", once)):
        if places:
            name = f"{at.output[0]}/{side}"
            joined[side] = graph.before(at, "Concat", [vectors[one] for one in places], name, axis=1)
            turned[side] = graph.before(at, "Transpose", [name], f"{name}/turned", perm=[0, 2, 1])
    wide.add(joined["each"])
    terms = []
    for left, right, matrix in (
        ("each", "each", weights[np.ix_(each, each)]),
        ("each", "once", across),
        ("once", "once", weights[np.ix_(once, once)]),
    ):
        if matrix.size:
            name = f"{at.output[0]}/{left}/{right}"
            product = graph.before(at, "MatMul", [joined[left], turned[right]], f"{name}/products")
            shape = graph.constant(f"{name}/shape", np.array([-1, matrix.shape[0] * matrix.shape[1]]))
            flat = graph.before(at, "Reshape", [product, shape], f"{name}/flat")
            if left == "each":
                wide.add(flat)
            terms.append(Term(flat, matrix.reshape(-1, matrix.shape[-1])))
    return terms


def _first_layers(graph: Graph, wide: set[str]) -> None:
    """Layers over numbers, [N, 1] each, of the request and of its candidates."""
    for matmul in [one for one in graph.nodes if one.op_type == "MatMul" and one.input[1] in graph.constants]:
        source, weights = graph.maker(matmul.input[0], "Concat"), graph.constants[matmul.input[1]]
        if source is not None and len(source.input) == len(weights) and not wide.issuperset(source.input):
            terms = [Term(name, weights[row : row + 1]) for row, name in enumerate(source.input)]
            _layer(graph, matmul, terms, wide)


def _layer(graph: Graph, matmul: Any, terms: Sequence[Term], wide: set[str]) -> None:
    """Compute the sum of ``terms`` in place of ``matmul`` and of the Add of a bias after it, if any."""
    made, total = matmul.output[0], ""
    for add in graph.users(made, "Add"):
        bias = next((one for one in add.input if one in graph.constants), "")
        if bias:  # tf2onnx leaves out one of zeros
            graph.nodes.remove(add)
            made, total = add.output[0], bias
    for side, chosen in (
        ("once", [one for one in terms if one.tensor not in wide]),
        ("each", [one for one in terms if one.tensor in wide]),
    ):
        if chosen:
            name = f"{matmul.output[0]}/{side}"
            matrix = graph.constant(f"{name}/weights", np.concatenate([one.weights for one in chosen]))
            inputs = [one.tensor for one in chosen]
            joined = graph.before(matmul, "Concat", inputs, f"{name}/inputs", axis=1)
            part = graph.before(matmul, "MatMul", [joined, matrix], f"{name}/part")
            total = graph.before(matmul, "Add", [part, total], f"{name}/sum") if total else part
    for node in graph.nodes:
        node.input[:] = [total if one == made else one for one in node.input]
