{{- /* Names and labels of objects. */ -}}

{{- define "gateway.name" -}}
{{ .Release.Name }}
{{- end }}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: clawmesh-gateway
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: clawmesh
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end }}

{{- define "gateway.identitySecret" -}}
{{ .Values.identity.secretName | default (printf "%s-identity" .Release.Name) }}
{{- end }}

{{- /* Volumes of tenants: a name of a volume has 63 characters at most, and so has the name of a tenant. */ -}}
{{- define "gateway.tenantVolume" -}}
{{- if le (len .) 56 }}tenant-{{ . }}{{ else }}tenant-{{ . | sha256sum | trunc 56 }}{{ end }}
{{- end }}

{{- define "gateway.meshDomain" -}}
{{ .Values.meshDomain | default .Values.trustDomain }}
{{- end }}

{{- /* True when the admin port must be reached by other pods. */ -}}
{{- define "gateway.scraped" -}}
{{- if .Values.monitoring.serviceMonitor.enabled }}true{{ end }}
{{- end }}

{{- define "gateway.listenHost" -}}
{{- if eq .Values.listenAddress "::" }}[::]{{ else }}{{ .Values.listenAddress }}{{ end }}
{{- end }}

{{- /* The names by which the cluster's DNS knows the Service, as a JSON list. */ -}}
{{- define "gateway.serviceNames" -}}
{{- $name := include "gateway.name" . -}}
{{- $full := printf "%s.%s" $name .Release.Namespace -}}
{{- list $name $full (printf "%s.svc" $full) (printf "%s.svc.%s" $full .Values.clusterDomain) | toJson }}
{{- end }}

{{- /* Namespaces of tenants, as a JSON list. */ -}}
{{- define "gateway.tenantNamespaces" -}}
{{- $found := list -}}
{{- range $name, $tenant := .Values.tenants }}{{ $found = append $found ($tenant.namespace | default $name) }}{{ end -}}
{{- $found | sortAlpha | toJson }}
{{- end }}

{{- /* True when the pods fetch keys from the API server, with a token of their own. */ -}}
{{- define "gateway.asksApiServer" -}}
{{- if and .Values.clusterTokens.enabled (not .Values.clusterTokens.jwksUri) }}true{{ end }}
{{- end }}
