"""Plain functions as jobs: `@task(service="thumbnail")`, run by `hubgate worker --tasks MODULE`.

A job's payload are the function's arguments, by name, in the types that its parameters have.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, ClassVar, Generic, ParamSpec, TypedDict, TypeVar, get_type_hints

import msgspec

from new_stack.settings import SettingsError
from new_stack.worker.connectors import Connector, ConnectorSettings, JobContext, JobFailed

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Order(TypedDict, total=False):
    """A job of a task, as `submit` of a client takes it: `client.submit(**thumb.job(size=3))`."""

    service: str
    payload: dict[str, Any]
    max_retries: int


class Task(Generic[Parameters, Result]):
    """A function that runs jobs of one service. Called, it is the function itself, as a test wants it."""

    def __init__(self, function: Callable[..., Result], service: str, retries: int | None) -> None:
        self.function = function
        self.service = service
        self.retries = retries
        self._payload, self._context = _parameters(function)

    def __call__(self, *arguments: Any, **named: Any) -> Result:
        """Call the function, here and now."""
        return self.function(*arguments, **named)

    def job(self, **arguments: Any) -> Order:
        """The job that calls the function with these arguments. Raises TypeError that names a wrong one."""
        try:
            msgspec.convert(payload := msgspec.to_builtins(arguments), self._payload)
        except msgspec.ValidationError as error:
            raise TypeError(f"{self.service}: {error}") from error
        retries: Order = {} if self.retries is None else {"max_retries": self.retries}
        return {"service": self.service, "payload": payload, **retries}

    async def run(self, job: JobContext) -> Any:
        """Run a job. A function without `async` runs in a thread, which is not stopped when its job is."""
        try:
            payload = msgspec.json.decode(job.lease.payload, type=self._payload)
        except msgspec.ValidationError as error:
            raise JobFailed(f"{self.service}: {error}", retryable=False) from error
        named = {field: getattr(payload, field) for field in self._payload.__struct_fields__}
        if self._context is not None:
            named[self._context] = job
        if inspect.iscoroutinefunction(self.function):
            result = await self.function(**named)
        else:
            result = await asyncio.to_thread(self.function, **named)
        return msgspec.to_builtins(result)


def task(
    *, service: str | None = None, retries: int | None = None
) -> Callable[[Callable[..., Result]], Task[..., Result]]:
    """Make a function a task of `service` (its own name by default), run `retries` times more where it fails.

    A parameter annotated as JobContext is given the running job. Every other one is a field of the payload; one with
    a default may be missing. Raises TypeError for a function whose parameters have no names of their own.
    """

    def decorate(function: Callable[..., Result]) -> Task[..., Result]:
        return Task(function, service or function.__name__, retries)

    return decorate


def _parameters(function: Callable[..., Any]) -> tuple[type[msgspec.Struct], str | None]:
    """The payload as a type, and the name of the parameter that takes the job."""
    hints = get_type_hints(function)
    fields: list[Any] = []
    context: str | None = None
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError(f"{function.__name__}: a task's parameters have names, which {parameter} has not")
        if hints.get(name) is JobContext:
            context = name
        elif parameter.default is parameter.empty:
            fields.append((name, hints.get(name, Any)))
        else:
            fields.append((name, hints.get(name, Any), _default(parameter.default)))
    name = f"{function.__name__}_payload"
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True), context


def _default(value: Any) -> Any:
    """A run that changes its argument changes nobody else's."""
    if not isinstance(value, list | dict | set):
        return value
    pristine = copy.deepcopy(value)
    return msgspec.field(default_factory=lambda: copy.deepcopy(pristine))


class TaskSettings(ConnectorSettings, frozen=True, kw_only=True):
    """`module` has the tasks; several are joined by `+`."""

    module: str


class TaskConnector(Connector):
    """Runs jobs with the tasks that its modules define or import."""

    Settings: ClassVar[type[msgspec.Struct]] = TaskSettings

    def __init__(self, settings: TaskSettings) -> None:
        super().__init__(settings)
        self._tasks = {found.service: found for name in settings.module.split("+") for found in _tasks_of(name)}

    @property
    def services(self) -> tuple[str, ...]:
        """The tasks' own."""
        return tuple(self._tasks)

    async def run(self, job: JobContext) -> Any:
        """Run the task of the job's service."""
        found = self._tasks.get(job.service)
        if found is None:
            raise JobFailed(f"no task of this worker serves {job.service!r}", retryable=False)
        return await found.run(job)


def _tasks_of(module: str) -> Iterator[Task[..., Any]]:
    try:
        found = [value for value in vars(import_module(module)).values() if isinstance(value, Task)]
    except ImportError as error:
        raise SettingsError(f"tasks: {module} could not be imported: {error}") from error
    if not found:
        raise SettingsError(f"tasks: {module} has no function with @task")
    yield from found
