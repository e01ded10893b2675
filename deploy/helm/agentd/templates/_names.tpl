{{/* The name of every object. */}}
{{- define "agentd.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Of what is in no namespace: two releases of one name may be in two. */}}
{{- define "agentd.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "agentd.name" .) -}}
{{- end -}}

{{- define "agentd.account" -}}
{{- default (include "agentd.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* What pods are selected by. It never changes. */}}
{{- define "agentd.selector" -}}
app.kubernetes.io/name: agentd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels that Kubernetes recommends. */}}
{{- define "agentd.labels" -}}
{{ include "agentd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: agent
app.kubernetes.io/part-of: conveyor
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "agentd.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end -}}
{{- end -}}
{{- end -}}
