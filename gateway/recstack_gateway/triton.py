"""Triton beside the gateway, over gRPC on the pod's loopback."""

import time
from array import array
from collections.abc import Mapping
from typing import Protocol

import grpc
from recstack_triton_templates.graph import REPLY, REQUEST, TIMES
from tritonclient.grpc import service_pb2, service_pb2_grpc

from recstack_gateway.errors import Refused, Unavailable
from recstack_gateway.metrics import Waited
from recstack_gateway.telemetry import SILENT, Telemetry

INFER_SECONDS = 2.0
LOAD_SECONDS = 180.0
MESSAGE = 500
"""Characters of Triton's message that are passed on; it may hold a whole traceback."""
_OPTIONS = [
    # After a restart of Triton the channel must come back at once, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 64 << 20),
]
_GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class InferenceFailed(Exception):
    """The model did not answer. ``late``: not in time, so it may only be slow."""

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class Triton(Protocol):
    """What the gateway asks of Triton."""

    async def infer(self, model: str, content: bytes) -> bytes:
        """One request.

        Raises:
            Unavailable: Triton is not there.
            InferenceFailed: the model is not loaded, or failed.
        """
        ...

    async def waited(self) -> Mapping[str, Waited]:
        """Requests and their wait by model, since each was loaded.

        Raises:
            Unavailable: Triton is not there.
        """
        ...

    async def load(self, model: str) -> None:
        """Load from the repository.

        Raises:
            Unavailable: Triton is not there.
            Refused: the model cannot be loaded.
        """
        ...

    async def unload(self, model: str) -> None:
        """Unload and wait until it is gone; a model that is not loaded is no error.

        Raises:
            Unavailable: Triton is not there.
        """
        ...

    async def loaded(self) -> set[str]:
        """Names of the models that Triton says are ready.

        Raises:
            Unavailable: Triton is not there.
        """
        ...


class GrpcTriton:
    """The protocol over gRPC; make it inside the event loop."""

    def __init__(self, address: str, telemetry: Telemetry = SILENT) -> None:
        self._telemetry = telemetry
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def infer(self, model: str, content: bytes) -> bytes:
        """As the protocol has it."""
        request = service_pb2.ModelInferRequest(model_name=model, raw_input_contents=[content])
        tensor = request.inputs.add(name=REQUEST, datatype="UINT8")
        tensor.shape.extend((1, len(content)))
        began = time.perf_counter()
        try:
            response = await self._stub.ModelInfer(request, timeout=INFER_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _GONE:
                raise Unavailable(f"Triton: {error.details()}") from error
            late = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            raise InferenceFailed(str(error.details()), late) from error
        outputs: dict[str, bytes] = {
            one.name: raw for one, raw in zip(response.outputs, response.raw_output_contents, strict=True)
        }
        # An ensemble tells no times: its parts have Triton's own statistics.
        times = array("f", outputs.get(TIMES, b""))
        self._telemetry.inferred(model, time.perf_counter() - began, times)
        return outputs[REPLY]

    async def waited(self) -> Mapping[str, Waited]:
        """As the protocol has it."""
        try:
            found = await self._stub.ModelStatistics(
                service_pb2.ModelStatisticsRequest(), timeout=INFER_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"Triton: {error.details()}") from error
        return {
            one.name: Waited(one.inference_stats.success.count, one.inference_stats.queue.ns / 1e9)
            for one in found.model_stats
        }

    async def load(self, model: str) -> None:
        """As the protocol has it."""
        try:
            request = service_pb2.RepositoryModelLoadRequest(model_name=model)
            await self._stub.RepositoryModelLoad(request, timeout=LOAD_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in _GONE or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Unavailable(f"Triton: {error.details()}") from error
            raise Refused(f"Triton cannot load {model}: {str(error.details())[:MESSAGE]}") from error

    async def unload(self, model: str) -> None:
        """As the protocol has it."""
        try:
            request = service_pb2.RepositoryModelUnloadRequest(model_name=model)
            await self._stub.RepositoryModelUnload(request, timeout=LOAD_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"Triton: {error.details()}") from error

    async def loaded(self) -> set[str]:
        """As the protocol has it."""
        try:
            request = service_pb2.RepositoryIndexRequest(ready=True)
            index = await self._stub.RepositoryIndex(request, timeout=INFER_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"Triton: {error.details()}") from error
        return {model.name for model in index.models}
