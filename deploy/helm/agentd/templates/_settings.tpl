{{/* The settings file: what the chart decides, and what is given. As JSON, since YAML would write large numbers with an exponent. */}}
{{- define "agentd.settings" -}}
{{- $proxy := dict "listen_port" nil -}}
{{- if .Values.proxy.enabled -}}
{{- $files := "/etc/agentd/tls" -}}
{{- $proxy = dict "listen_host" "0.0.0.0" "listen_port" (int .Values.proxy.port) "certificate_file" (printf "%s/tls.crt" $files) "key_file" (printf "%s/tls.key" $files) "client_ca_file" (printf "%s/ca.crt" $files) -}}
{{- end -}}
{{- $decided := dict
  "telemetry" (dict "http_host" "0.0.0.0" "http_port" (int .Values.metrics.port))
  "cluster" (dict "access" "in_cluster" "system_namespace" .Release.Namespace)
  "ledger" (dict "path" "/var/lib/agentd/ledger.db")
  "proxy" $proxy -}}
{{- mustMergeOverwrite $decided (deepCopy .Values.settings) | toPrettyJson -}}
{{- end -}}

{{/* Whether the ledger is a file; empty when it is not. */}}
{{- define "agentd.onDisk" -}}
{{- if eq (dig "ledger" "kind" "sqlite" .Values.settings) "sqlite" -}}yes{{- end -}}
{{- end -}}

{{/* Whether the agent works on the cluster that it runs in; empty when it does not. */}}
{{- define "agentd.inCluster" -}}
{{- if eq (dig "cluster" "access" "in_cluster" .Values.settings) "in_cluster" -}}yes{{- end -}}
{{- end -}}

{{/* Longer than the agent's own hard exit, so that a drain comes to its end. */}}
{{- define "agentd.graceSeconds" -}}
{{- add 1 (int (ceil (float64 (dig "drain" "hard_exit_s" 29 .Values.settings)))) -}}
{{- end -}}
