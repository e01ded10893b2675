"""Environments and projects that the manifests' tests are about."""

from agentd.events import EnvironmentSpec, InstanceLifecycle, NetworkEgress, Power, Quotas
from agentd.events.environments import AirflowConfiguration, CoreConfiguration, EgressRule, SecretName, SecretsBackend
from agentd.platform import ClusterDefaults
from handlers.manifests import Environment
from handlers.manifests.projects import DeployedProject, ProjectConfiguration

TENANT = "0f3c2f0e-8a5e-4d57-9c52-0f3a7f9d3b11"
DIGEST = f"sha256:{'ab' * 32}"

PLAIN = Environment(
    name="dev", spec=EnvironmentSpec(), power=Power.AWAKE, defaults=ClusterDefaults(system_namespace="conveyor-system")
)

FULL = Environment(
    name="prd",
    spec=EnvironmentSpec(
        airflow_version="3.3",
        airflow_configuration=AirflowConfiguration(
            core=CoreConfiguration(parallelism=64, max_active_tasks_per_dag=16),
            secret=SecretsBackend(enabled=True, connection=SecretName(name="airflow/connections")),
        ),
        instance_lifecycle=InstanceLifecycle.ON_DEMAND,
        iam_identity="airflow-prd",
        deletion_protection=True,
        quotas=Quotas(cpu="50m", memory="128Mi", storage="10Gi", pods=20),
        network_egress=NetworkEgress(
            internet=False,
            allow=(EgressRule(cidr="10.20.0.0/16", ports=(5432, 5439)), EgressRule(cidr="fd00:20::/32")),
        ),
        description="Production. Ask the platform team before you change anything.",
    ),
    power=Power.HIBERNATED,
    defaults=ClusterDefaults(
        system_namespace="conveyor-system",
        tenant_id=TENANT,
        api_server_cidrs=("10.0.1.0/24",),
        api_server_ports=(443,),
    ),
    identity={"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/airflow-prd"},
)

CONFIGURATION = ProjectConfiguration(
    project_id="5a0b7d0e-7c0f-4b5e-9f62-6a9d4c1c2b10",
    project_name="team_orders",
    identity="orders-{{ .Env }}",
    settings={"warehouse": "small", "Region": "eu"},
)

DEPLOYED = DeployedProject(
    project_id=CONFIGURATION.project_id,
    project_name=CONFIGURATION.project_name,
    build_id="c2f9d8a4-3b51-4f0c-8f3e-9a1b7e6d5c42",
    digest=DIGEST,
    image=f"data-plane/project/team_orders@{DIGEST}",
    identity="orders-prd",
    annotations={"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/orders-prd"},
    settings=CONFIGURATION.settings,
)
