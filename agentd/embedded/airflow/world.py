"""One environment's Airflow in memory: what the DAG processor has seen, what is paused, what has run."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from agentd.core import Runtime
from agentd.embedded.airflow.problems import Refused, no_dag, no_run, taken
from agentd.embedded.airflow.runs import Instance, Run, new_instances
from agentd.embedded.airflow.setup import DagFile, DagSpec, Setup


@dataclass
class Dag:
    """A row of the DAG table. `unpaused_at` is None while it is paused, as it is when it is new."""

    spec: DagSpec
    bundle: str
    filename: str
    parsed: float
    unpaused_at: float | None = None
    stale: bool = False
    broken: bool = False

    @property
    def startable_since(self) -> float | None:
        """From when on its tasks may start; None while they may not."""
        return None if self.stale else self.unpaused_at


@dataclass
class BrokenFile:
    """A row of the table of import errors."""

    number: int
    bundle: str
    filename: str
    text: str
    at: float


class Environment:
    """Everything of one environment. Call `advance` before looking."""

    def __init__(self, name: str, runtime: Runtime) -> None:
        self.name = name
        self.runtime = runtime
        self.setup = Setup(jwt_secret="-" * 64)
        self.dags: dict[str, Dag] = {}
        self.import_errors: dict[tuple[str, str], BrokenFile] = {}
        self.runs: dict[tuple[str, str], Run] = {}
        self._numbers = count(1)
        self._parsed_at: float | None = None

    @property
    def prefix(self) -> str:
        """Path of its base URL."""
        return self.setup.prefix.replace("{name}", self.name)

    def be(self, setup: Setup) -> None:
        """Be like this from now on; the bundles once they have been parsed."""
        self.setup = setup
        self._parsed_at = self.runtime.now() + setup.parse_s

    def advance(self) -> float:
        """Let happen what has happened by now; the time that it is."""
        now = self.runtime.now()
        if self._parsed_at is not None and self._parsed_at <= now:
            self._parse(self._parsed_at)
            self._parsed_at = None
        for run in self.runs.values():
            run.advance(now, self.dags[run.dag_id].startable_since)
        return now

    def dag(self, dag_id: str) -> Dag:
        """One DAG. Raises Refused."""
        if dag_id not in self.dags:
            raise no_dag(dag_id)
        return self.dags[dag_id]

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause a DAG, or unpause it."""
        dag = self.dags[dag_id]
        if paused:
            dag.unpaused_at = None
        elif dag.unpaused_at is None:
            dag.unpaused_at = self.runtime.now()

    def run(self, dag_id: str, run_id: str) -> Run:
        """One run. Raises Refused."""
        if (dag_id, run_id) not in self.runs:
            raise no_run(dag_id, run_id)
        return self.runs[dag_id, run_id]

    def trigger(self, dag_id: str, run_id: str, user: str, conf: dict[str, object], note: str | None) -> Run:
        """A new run. Raises Refused."""
        dag = self.dags.get(dag_id)
        if dag is None:
            raise Refused(404, f"Dag with dag_id: '{dag_id}' not found")
        if (dag_id, run_id) in self.runs:
            raise taken()
        instances = new_instances(dag.spec, next(self._numbers) * 1000)
        run = Run(dag_id, run_id, user, conf, note, self.runtime.now(), instances)
        self.runs[dag_id, run_id] = run
        return run

    def instances(self, dag_id: str | None, run_id: str | None) -> Iterator[tuple[Run, Instance]]:
        """Task instances of one run, of one DAG or of all, in order of creation."""
        for run in self.runs.values():
            if dag_id in (None, run.dag_id) and run_id in (None, run.run_id):
                for instance in run.instances:
                    yield run, instance

    def _parse(self, at: float) -> None:
        files = [(bundle, file) for bundle, found in self.setup.bundles.items() for file in found]
        listed = {(bundle, file.filename) for bundle, file in files}
        self.import_errors = {place: error for place, error in self.import_errors.items() if place in listed}
        seen: set[str] = set()
        for bundle, file in files:
            seen |= self._parse_file(bundle, file, at)
        for dag_id, dag in self.dags.items():
            kept = dag.broken and (dag.bundle, dag.filename) in listed
            dag.stale = dag_id not in seen and not kept

    def _parse_file(self, bundle: str, file: DagFile, at: float) -> set[str]:
        place = (bundle, file.filename)
        if file.error is not None:
            self.import_errors[place] = BrokenFile(next(self._numbers), *place, file.error, at)
            for dag in self.dags.values():
                dag.broken = dag.broken or (dag.bundle, dag.filename) == place
            return set()
        self.import_errors.pop(place, None)
        for spec in file.dags:
            old = self.dags.get(spec.dag_id)
            unpaused_at = None if old is None else old.unpaused_at
            # Of two bundles with the same DAG the one that is parsed last has it, without a word.
            self.dags[spec.dag_id] = Dag(spec, bundle, file.filename, at, unpaused_at)
        return {spec.dag_id for spec in file.dags}
