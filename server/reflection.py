"""gRPC server reflection, v1 and v1alpha, without a transport: grpcurl and friends need no .proto files.

The two versions differ in their package's name alone, so one set of messages serves both.
https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2 as pb

from server.codes import Code
from server.methods import CallError, Methods

V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"


def methods(services: Sequence[str]) -> Methods:
    """Both versions' methods by path, for a listener that carries `services` (full names)."""
    reflection = Reflection(services)
    return Methods(streams={f"/{name}/ServerReflectionInfo": reflection.info for name in (V1, V1ALPHA)})


class Reflection:
    """Answers questions about the protobuf descriptors that this process has loaded."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = sorted((*services, V1, V1ALPHA))
        self._pool = descriptor_pool.Default()
        self._v1: descriptor_pool.DescriptorPool | None = None

    async def info(self, requests: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """ServerReflectionRequest → ServerReflectionResponse, one for one, until the client ends."""
        async for raw in requests:
            try:
                request = pb.ServerReflectionRequest.FromString(raw)
            except DecodeError as error:
                raise CallError(Code.INVALID_ARGUMENT, "the message is no ServerReflectionRequest") from error
            response = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
            self._answer(request, response)
            yield response.SerializeToString()

    def _answer(self, request: pb.ServerReflectionRequest, response: pb.ServerReflectionResponse) -> None:
        kind = request.WhichOneof("message_request")
        try:
            if kind == "list_services":
                for name in self._services:
                    response.list_services_response.service.add(name=name)
            elif kind == "file_by_filename":
                _add_files(self._file(request.file_by_filename), response)
            elif kind == "file_containing_symbol":
                _add_files(self._file_of(request.file_containing_symbol), response)
            else:
                # Our messages are proto3 and have no extensions.
                _refuse(response, Code.NOT_FOUND, "there are no extensions here")
        except KeyError:
            _refuse(response, Code.NOT_FOUND, "not found")

    def _file(self, name: str) -> FileDescriptor:
        try:
            return self._pool.FindFileByName(name)
        except KeyError:
            return self._v1_pool().FindFileByName(name)

    def _file_of(self, symbol: str) -> FileDescriptor:
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._v1_pool().FindFileContainingSymbol(symbol)

    def _v1_pool(self) -> descriptor_pool.DescriptorPool:
        """The descriptors of reflection v1, made of v1alpha's: grpcio-reflection has only those."""
        if self._v1 is None:
            alpha = descriptor_pb2.FileDescriptorProto()
            pb.DESCRIPTOR.CopyToProto(alpha)
            text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
            self._v1 = descriptor_pool.DescriptorPool()
            self._v1.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))
        return self._v1


def _add_files(wanted: FileDescriptor, response: pb.ServerReflectionResponse) -> None:
    """Add a file and all it imports, each once, as clients expect."""
    todo, seen = [wanted], set[str]()
    while todo:
        file = todo.pop()
        if file.name in seen:
            continue
        seen.add(file.name)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        response.file_descriptor_response.file_descriptor_proto.append(proto.SerializeToString())
        todo.extend(file.dependencies)


def _refuse(response: pb.ServerReflectionResponse, code: Code, message: str) -> None:
    response.error_response.error_code = int(code)
    response.error_response.error_message = message
