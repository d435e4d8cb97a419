{{- define "tenant.labels" -}}
app.kubernetes.io/name: clawmesh-tenant
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/part-of: clawmesh
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
clawmesh.internal/tenant: {{ .Values.tenant | quote }}
{{- end }}

{{- define "tenant.namespace" -}}
{{ .Values.namespace.name | default .Values.tenant }}
{{- end }}

{{- /* The pods of the gateway, as a peer of a NetworkPolicy: by a label that every cluster sets, and by pod. */ -}}
{{- define "tenant.gatewayPods" -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ .Release.Namespace | quote }}
  podSelector:
    matchLabels:
      app.kubernetes.io/name: clawmesh-gateway
      app.kubernetes.io/instance: {{ .Values.gateway.release | quote }}
{{- end }}

{{- /* The release that an object belongs to, in words. */ -}}
{{- define "tenant.ownerOf" -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" . -}}
{{- $namespace := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" . -}}
{{- if $owner }}release {{ $owner }} in namespace {{ $namespace }}{{ else }}no release{{ end }}
{{- end }}
