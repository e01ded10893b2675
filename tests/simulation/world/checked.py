"""A simulated client that holds every request, answer and refusal to the SDK's own service models, for tests."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.session import get_session
from botocore.validate import ParamValidator

from tests.simulation.world.aws import Answer, Client, Operation
from tests.simulation.world.gate import Gate

# Whatever is asked, AWS may answer with these. Source: the common errors of the AWS APIs.
_COMMON = frozenset({"AccessDenied", "AccessDeniedException", "Throttling", "ThrottlingException"})
_METADATA = "ResponseMetadata"
_SCALARS: Mapping[str, type] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "timestamp": datetime,
}


class CheckedClient(Client):
    """See the module. Raises AssertionError."""

    def __init__(self, service: str, operations: Mapping[str, Operation], gate: Gate, *, retries: bool) -> None:
        super().__init__(operations, gate, retries=retries)
        self._service = service

    async def _call(self, operation: Operation, **request: Any) -> Answer:
        model = service_model(self._service).operation_model(operation.name)
        report = ParamValidator().validate(request, model.input_shape or _NOTHING)
        assert not report.has_errors(), report.generate_report()
        try:
            answer = await super()._call(operation, **request)
        except ClientError as error:
            _check_refusal(model, error)
            raise
        _check({name: value for name, value in answer.items() if name != _METADATA}, model.output_shape, operation.name)
        return answer


def _check_refusal(model: OperationModel, error: ClientError) -> None:
    allowed = {shape.error_code for shape in model.error_shapes if isinstance(shape, StructureShape)} | _COMMON
    assert error.response["Error"]["Code"] in allowed, f"{model.name} does not raise {error}"


_NOTHING = StructureShape("Nothing", {"type": "structure", "members": {}})


@cache
def service_model(service: str) -> ServiceModel:
    """The SDK's model of a service."""
    return get_session().get_service_model(service)


def _check(value: Any, shape: Shape | None, where: str) -> None:
    """Whether a value is one of a shape; documents that the SDK has decoded are of any."""
    if shape is None or isinstance(shape, StructureShape):
        members = shape.members if shape is not None else {}
        unknown = value.keys() - members.keys()
        assert not unknown, f"{where} has no {unknown}"
        missing = {*(shape.required_members if shape is not None else ())} - value.keys()
        assert not missing, f"{where} lacks {missing}"
        for name, inner in value.items():
            _check(inner, members[name], f"{where}.{name}")
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value):
            _check(item, shape.member, f"{where}.{number}")
    elif isinstance(shape, MapShape):
        for name, item in value.items():
            _check(item, shape.value, f"{where}.{name}")
    elif shape.name != "policyDocumentType":
        assert isinstance(value, _SCALARS[shape.type_name]), f"{where} is {value!r}, and no {shape.type_name}"
