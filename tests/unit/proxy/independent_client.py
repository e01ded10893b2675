"""Finds the proxy's calls as a stranger would: with grpcio's health and reflection clients, and no file of ours.

A program of its own, since those clients and grpclib's services cannot be in one process: both register the same messages
under different files. Prints JSON.
"""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main(address: str) -> None:
    """Ask the server at the address."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = sorted(database.get_services())
        ours = [name for name in services if name.startswith("conveyor.")]
        pool = DescriptorPool(database)
        found = {
            "services": services,
            "calls": {name: _calls(pool, name) for name in ours},
            "health": {name: _health(channel, name) for name in ("", *ours)},
            "unknown": _unknown(channel),
            "version": _version(channel, pool),
        }
    sys.stdout.write(json.dumps(found))


def _calls(pool: DescriptorPool, service: str) -> list[str]:
    return [method.name for method in pool.FindServiceByName(service).methods]


def _health(channel: grpc.Channel, service: str) -> str:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def _unknown(channel: grpc.Channel) -> str:
    try:
        return _health(channel, "made.up")
    except grpc.RpcError as error:
        return str(error.code().name)


def _version(channel: grpc.Channel, pool: DescriptorPool) -> dict[str, object]:
    method = pool.FindServiceByName("conveyor.proxy.v1.Agent").methods_by_name["GetVersion"]
    ask, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = channel.unary_unary(
        "/conveyor.proxy.v1.Agent/GetVersion",
        request_serializer=ask.SerializeToString,
        response_deserializer=answer.FromString,
    )
    return MessageToDict(call(ask(), timeout=10))


if __name__ == "__main__":
    main(sys.argv[1])
