{{- /*
What values.schema.json cannot say. A message begins with the key. Nothing has changed yet: Helm renders everything
before it changes the cluster.
*/ -}}

{{- define "tenant.checks" -}}
{{- $namespace := include "tenant.namespace" . -}}
{{- if eq $namespace .Release.Namespace }}
{{- fail (printf "tenant: its namespace, %s, is that of the gateway, where the release goes; agents need one of their own" $namespace) }}
{{- end }}
{{- $self := printf "release %s in namespace %s" .Release.Name .Release.Namespace -}}
{{- $map := printf "%s-tenant-%s" .Values.gateway.release .Values.tenant -}}
{{- $policy := lookup "v1" "ConfigMap" .Release.Namespace $map -}}
{{- if $policy }}
{{- $owner := include "tenant.ownerOf" $policy -}}
{{- if ne $owner $self }}
{{- fail (printf "tenant: %s is there already, its ConfigMap %s is of %s; a tenant has one release" .Values.tenant $map $owner) }}
{{- end }}
{{- end }}
{{- $there := lookup "v1" "Namespace" "" $namespace -}}
{{- if and $there .Values.namespace.create }}
{{- $owner := include "tenant.ownerOf" $there -}}
{{- if ne $owner $self }}
{{- fail (printf "namespace.create: namespace %s is there already, of %s; false leaves it as it is" $namespace $owner) }}
{{- end }}
{{- end }}
{{- if and .Values.certificates.agents (not .Values.certificates.issuerRef.name) }}
{{- fail "certificates.issuerRef.name: name the issuer" }}
{{- end }}
{{- if and .Values.certificates.agents (not .Values.certificates.trustDomain) }}
{{- fail "certificates.trustDomain: name the trust domain of the mesh" }}
{{- end }}
{{- end }}
