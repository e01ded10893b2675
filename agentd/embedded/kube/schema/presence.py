"""Which fields an object shows although nobody set them, and which it hides although somebody did. Data.

The API's own types hold some structures by value, so that they are there even when empty, and leave out scalars that are
zero unless they can tell zero from nothing. The schemas do not say which; this does, for the kinds that are served.
Source: the API's types of 1.36 (k8s.io/api).
"""

from collections.abc import Mapping
from types import MappingProxyType


def _table(told: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({name: frozenset(fields.split()) for name, fields in told.items()})


STRUCTS: Mapping[str, frozenset[str]] = _table(
    {
        "admissionregistration.v1.MutatingWebhook": "clientConfig",
        "admissionregistration.v1.ValidatingWebhook": "clientConfig",
        "apiextensions.v1.CustomResourceDefinitionSpec": "names",
        "apiextensions.v1.CustomResourceDefinitionStatus": "acceptedNames",
        "apps.v1.DaemonSetSpec": "template updateStrategy",
        "apps.v1.DeploymentSpec": "template strategy",
        "apps.v1.ReplicaSetSpec": "template",
        "apps.v1.StatefulSetSpec": "template updateStrategy",
        "autoscaling.v2.ContainerResourceMetricSource": "target",
        "autoscaling.v2.ContainerResourceMetricStatus": "current",
        "autoscaling.v2.ExternalMetricSource": "metric target",
        "autoscaling.v2.ExternalMetricStatus": "metric current",
        "autoscaling.v2.HorizontalPodAutoscalerSpec": "scaleTargetRef",
        "autoscaling.v2.ObjectMetricSource": "describedObject target metric",
        "autoscaling.v2.ObjectMetricStatus": "metric current describedObject",
        "autoscaling.v2.PodsMetricSource": "metric target",
        "autoscaling.v2.PodsMetricStatus": "metric current",
        "autoscaling.v2.ResourceMetricSource": "target",
        "autoscaling.v2.ResourceMetricStatus": "current",
        "batch.v1.CronJobSpec": "jobTemplate",
        "batch.v1.JobSpec": "template",
        "batch.v1.JobTemplateSpec": "metadata spec",
        "core.v1.Binding": "target",
        "core.v1.Container": "resources",
        "core.v1.ContainerStatus": "state lastState",
        "core.v1.EphemeralContainer": "resources",
        "core.v1.Event": "involvedObject source",
        "core.v1.PersistentVolumeClaimSpec": "resources",
        "core.v1.PersistentVolumeClaimTemplate": "metadata spec",
        "core.v1.PodTemplate": "template",
        "core.v1.PodTemplateSpec": "metadata spec",
        "core.v1.PreferredSchedulingTerm": "preference",
        "core.v1.ServiceStatus": "loadBalancer",
        "core.v1.WeightedPodAffinityTerm": "podAffinityTerm",
        "discovery.v1.Endpoint": "conditions",
        "events.v1.Event": "regarding deprecatedSource",
        "networking.v1.HTTPIngressPath": "backend",
        "networking.v1.IngressServiceBackend": "port",
        "networking.v1.IngressStatus": "loadBalancer",
        "networking.v1.NetworkPolicySpec": "podSelector",
        "rbac.v1.ClusterRoleBinding": "roleRef",
        "rbac.v1.RoleBinding": "roleRef",
        "storage.v1.VolumeAttachmentSpec": "source",
    }
)
"""Structures that are always there. So are the metadata, spec and status of every kind."""

NULLS: Mapping[str, frozenset[str]] = _table(
    {
        "apiextensions.v1.CustomResourceDefinitionStatus": "conditions storedVersions",
        "autoscaling.v2.HorizontalPodAutoscalerStatus": "currentMetrics",
        "core.v1.ContainerImage": "names",
        "core.v1.ContainerStateRunning": "startedAt",
        "core.v1.ContainerStateTerminated": "startedAt finishedAt",
        "core.v1.Event": "eventTime firstTimestamp lastTimestamp",
        "core.v1.NodeCondition": "lastHeartbeatTime lastTransitionTime",
        "core.v1.PodCondition": "lastProbeTime lastTransitionTime",
        "core.v1.ProjectedVolumeSource": "sources",
        "discovery.v1.EndpointSlice": "endpoints ports",
        "events.v1.Event": "deprecatedFirstTimestamp deprecatedLastTimestamp",
        "rbac.v1.ClusterRole": "rules",
        "rbac.v1.Role": "rules",
    }
)
"""Fields that are null when nobody set them. So are required lists and maps."""

TOLD_ZEROS: Mapping[str, frozenset[str]] = _table(
    {
        "meta.v1.ObjectMeta": "deletionGracePeriodSeconds",
        "meta.v1.OwnerReference": "blockOwnerDeletion controller",
        "admissionregistration.v1.MutatingWebhook": (
            "failurePolicy matchPolicy sideEffects timeoutSeconds reinvocationPolicy"
        ),
        "admissionregistration.v1.RuleWithOperations": "scope",
        "admissionregistration.v1.ServiceReference": "path port",
        "admissionregistration.v1.ValidatingWebhook": "failurePolicy matchPolicy sideEffects timeoutSeconds",
        "admissionregistration.v1.WebhookClientConfig": "url",
        "apiextensions.v1.CustomResourceDefinitionVersion": "deprecationWarning",
        "apiextensions.v1.CustomResourceSubresourceScale": "labelSelectorPath",
        "apiextensions.v1.JSONSchemaProps": (
            "$ref maximum minimum maxLength minLength maxItems minItems multipleOf maxProperties "
            "minProperties x-kubernetes-preserve-unknown-fields x-kubernetes-list-type "
            "x-kubernetes-map-type"
        ),
        "apiextensions.v1.ServiceReference": "path port",
        "apiextensions.v1.ValidationRule": "reason optionalOldSelf",
        "apiextensions.v1.WebhookClientConfig": "url",
        "apps.v1.DaemonSetSpec": "revisionHistoryLimit",
        "apps.v1.DaemonSetStatus": "collisionCount",
        "apps.v1.DeploymentSpec": "replicas revisionHistoryLimit progressDeadlineSeconds",
        "apps.v1.DeploymentStatus": "terminatingReplicas collisionCount",
        "apps.v1.ReplicaSetSpec": "replicas",
        "apps.v1.ReplicaSetStatus": "terminatingReplicas",
        "apps.v1.RollingUpdateStatefulSetStrategy": "partition",
        "apps.v1.StatefulSetSpec": "replicas revisionHistoryLimit",
        "apps.v1.StatefulSetStatus": "collisionCount",
        "autoscaling.v2.HPAScalingRules": "stabilizationWindowSeconds selectPolicy",
        "autoscaling.v2.HorizontalPodAutoscalerSpec": "minReplicas",
        "autoscaling.v2.HorizontalPodAutoscalerStatus": "observedGeneration",
        "autoscaling.v2.MetricTarget": "averageUtilization",
        "autoscaling.v2.MetricValueStatus": "averageUtilization",
        "batch.v1.CronJobSpec": (
            "timeZone startingDeadlineSeconds suspend successfulJobsHistoryLimit failedJobsHistoryLimit"
        ),
        "batch.v1.JobSpec": (
            "parallelism completions activeDeadlineSeconds backoffLimit backoffLimitPerIndex "
            "maxFailedIndexes manualSelector ttlSecondsAfterFinished completionMode suspend "
            "podReplacementPolicy managedBy"
        ),
        "batch.v1.JobStatus": "terminating failedIndexes ready",
        "batch.v1.PodFailurePolicyOnExitCodesRequirement": "containerName",
        "batch.v1.SuccessPolicyRule": "succeededIndexes succeededCount",
        "coordination.v1.LeaseSpec": "holderIdentity leaseDurationSeconds leaseTransitions strategy preferredHolder",
        "core.v1.AppArmorProfile": "localhostProfile",
        "core.v1.CSIVolumeSource": "readOnly fsType",
        "core.v1.ClientIPConfig": "timeoutSeconds",
        "core.v1.ClusterTrustBundleProjection": "name signerName optional",
        "core.v1.ConfigMap": "immutable",
        "core.v1.ConfigMapEnvSource": "optional",
        "core.v1.ConfigMapKeySelector": "optional",
        "core.v1.ConfigMapProjection": "optional",
        "core.v1.ConfigMapVolumeSource": "defaultMode optional",
        "core.v1.Container": "restartPolicy",
        "core.v1.ContainerStatus": "started stopSignal",
        "core.v1.DownwardAPIVolumeFile": "mode",
        "core.v1.DownwardAPIVolumeSource": "defaultMode",
        "core.v1.EndpointAddress": "nodeName",
        "core.v1.EndpointPort": "appProtocol",
        "core.v1.EphemeralContainer": "restartPolicy",
        "core.v1.FileKeySelector": "optional",
        "core.v1.GRPCAction": "service",
        "core.v1.HostPathVolumeSource": "type",
        "core.v1.KeyToPath": "mode",
        "core.v1.Lifecycle": "stopSignal",
        "core.v1.LoadBalancerIngress": "ipMode",
        "core.v1.LocalVolumeSource": "fsType",
        "core.v1.PersistentVolumeClaimSpec": "storageClassName volumeMode volumeAttributesClassName",
        "core.v1.PersistentVolumeClaimStatus": "currentVolumeAttributesClassName",
        "core.v1.PersistentVolumeSpec": "volumeMode volumeAttributesClassName",
        "core.v1.PodCertificateProjection": "maxExpirationSeconds",
        "core.v1.PodDNSConfigOption": "value",
        "core.v1.PodResourceClaim": "resourceClaimName resourceClaimTemplateName",
        "core.v1.PodResourceClaimStatus": "resourceClaimName",
        "core.v1.PodSchedulingGroup": "podGroupName",
        "core.v1.PodSecurityContext": (
            "runAsUser runAsGroup runAsNonRoot supplementalGroupsPolicy fsGroup fsGroupChangePolicy seLinuxChangePolicy"
        ),
        "core.v1.PodSpec": (
            "terminationGracePeriodSeconds activeDeadlineSeconds automountServiceAccountToken "
            "shareProcessNamespace priority runtimeClassName enableServiceLinks preemptionPolicy "
            "setHostnameAsFQDN hostUsers hostnameOverride"
        ),
        "core.v1.PortStatus": "error",
        "core.v1.Probe": "terminationGracePeriodSeconds",
        "core.v1.ProjectedVolumeSource": "defaultMode",
        "core.v1.ReplicationControllerSpec": "replicas",
        "core.v1.ResourceHealth": "message",
        "core.v1.SeccompProfile": "localhostProfile",
        "core.v1.Secret": "immutable",
        "core.v1.SecretEnvSource": "optional",
        "core.v1.SecretKeySelector": "optional",
        "core.v1.SecretProjection": "optional",
        "core.v1.SecretVolumeSource": "defaultMode optional",
        "core.v1.SecurityContext": (
            "privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation procMount"
        ),
        "core.v1.ServiceAccount": "automountServiceAccountToken",
        "core.v1.ServiceAccountTokenProjection": "expirationSeconds",
        "core.v1.ServicePort": "appProtocol",
        "core.v1.ServiceSpec": (
            "ipFamilyPolicy allocateLoadBalancerNodePorts loadBalancerClass internalTrafficPolicy trafficDistribution"
        ),
        "core.v1.Toleration": "tolerationSeconds",
        "core.v1.TopologySpreadConstraint": "minDomains nodeAffinityPolicy nodeTaintsPolicy",
        "core.v1.TypedLocalObjectReference": "apiGroup",
        "core.v1.TypedObjectReference": "apiGroup namespace",
        "core.v1.VolumeMount": "recursiveReadOnly mountPropagation",
        "core.v1.VolumeMountStatus": "recursiveReadOnly",
        "discovery.v1.Endpoint": "hostname nodeName zone",
        "discovery.v1.EndpointConditions": "ready serving terminating",
        "discovery.v1.EndpointPort": "name protocol port appProtocol",
        "networking.v1.HTTPIngressPath": "pathType",
        "networking.v1.IngressClassParametersReference": "apiGroup scope namespace",
        "networking.v1.IngressPortStatus": "error",
        "networking.v1.IngressSpec": "ingressClassName",
        "networking.v1.NetworkPolicyPort": "protocol endPort",
        "policy.v1.PodDisruptionBudgetSpec": "unhealthyPodEvictionPolicy",
        "storage.v1.CSIDriverSpec": (
            "attachRequired podInfoOnMount storageCapacity fsGroupPolicy requiresRepublish seLinuxMount "
            "nodeAllocatableUpdatePeriodSeconds serviceAccountTokenInSecrets "
            "preventPodSchedulingIfMissing"
        ),
        "storage.v1.StorageClass": "reclaimPolicy allowVolumeExpansion volumeBindingMode",
        "storage.v1.TokenRequest": "expirationSeconds",
        "storage.v1.VolumeAttachmentSource": "persistentVolumeName",
        "storage.v1.VolumeError": "errorCode",
    }
)
"""Scalars that are kept when they are zero. So are required ones."""

SHOWN_ZEROS: Mapping[str, frozenset[str]] = _table(
    {
        "apps.v1.StatefulSetStatus": "availableReplicas",
        "core.v1.Event": "reportingComponent reportingInstance",
        "policy.v1.PodDisruptionBudgetStatus": "disruptionsAllowed currentHealthy desiredHealthy expectedPods",
        "rbac.v1.RoleRef": "apiGroup",
        "scheduling.v1.PriorityClass": "value",
    }
)
"""Scalars that are zero when nobody set them. So are required ones."""

HIDDEN: Mapping[str, frozenset[str]] = _table(
    {
        "admissionregistration.v1.MutatingWebhook": "sideEffects",
        "admissionregistration.v1.ValidatingWebhook": "sideEffects",
        "networking.v1.HTTPIngressPath": "pathType",
    }
)
"""Required fields that are nevertheless absent when nobody set them."""
