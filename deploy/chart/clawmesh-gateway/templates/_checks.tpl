{{- /*
What values.schema.json cannot say. A message begins with the key. Nothing has changed yet: Helm renders everything
before it talks of changes to the cluster.
*/ -}}

{{- define "gateway.checks" -}}
{{- $values := .Values -}}
{{- if gt (len .Release.Name) 40 }}
{{- fail (printf "the name of the release, %q: has more than 40 characters, and names of objects begin with it" .Release.Name) }}
{{- end }}
{{- if and (not .Values.identity.secretName) (not .Values.identity.certManager.enabled) }}
{{- fail "identity.secretName: name a Secret with tls.crt, tls.key and ca.crt, or enable identity.certManager" }}
{{- end }}
{{- if and .Values.identity.certManager.enabled (not .Values.identity.certManager.issuerRef.name) }}
{{- fail "identity.certManager.issuerRef.name: name the issuer" }}
{{- end }}
{{- if and .Values.identity.trustBundle.sources (not .Values.identity.trustBundle.configMap) }}
{{- fail "identity.trustBundle.configMap: name the ConfigMap that trust-manager makes of identity.trustBundle.sources" }}
{{- end }}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.replicas)) }}
{{- fail (printf "autoscaling.maxReplicas: %d is below replicas, %d" (int .Values.autoscaling.maxReplicas) (int .Values.replicas)) }}
{{- end }}
{{- if and (include "gateway.scraped" .) (not .Values.networkPolicy.enabled) }}
{{- fail "monitoring.serviceMonitor.enabled: needs networkPolicy.enabled, since every pod could read metrics and status without it" }}
{{- end }}
{{- if and .Values.redis.passwordSecret (not .Values.redis.url) }}
{{- fail "redis.passwordSecret: has no effect without redis.url" }}
{{- end }}
{{- if and .Values.redis.caConfigMap (not (hasPrefix "rediss://" .Values.redis.url)) }}
{{- fail "redis.caConfigMap: has no effect without rediss:// in redis.url" }}
{{- end }}
{{- if and .Values.revocation.configMap (not .Values.revocation.crlKey) (not .Values.revocation.listKey) }}
{{- fail "revocation.configMap: name its keys by revocation.crlKey or revocation.listKey" }}
{{- end }}
{{- if and (not .Values.revocation.configMap) (or .Values.revocation.crlKey .Values.revocation.listKey) }}
{{- fail "revocation.configMap: name the ConfigMap that has the key" }}
{{- end }}
{{- if and .Values.clusterTokens.enabled (not .Values.tenants) }}
{{- fail "clusterTokens.enabled: name the tenants in `tenants`; a token is good for these alone" }}
{{- end }}
{{- if and (include "gateway.asksApiServer" .) .Values.networkPolicy.enabled (not .Values.networkPolicy.also) }}
{{- fail "clusterTokens.enabled: name the API server in networkPolicy.also, with its port; its address is in: kubectl get endpointslices kubernetes" }}
{{- end }}
{{- range $cidr := $values.networkPolicy.outside.cidrs }}
{{- range $values.networkPolicy.outside.except }}
{{- if include "gateway.isWithin" (list $cidr .) }}
{{- fail (printf "networkPolicy.outside.cidrs: %s is within networkPolicy.outside.except, %s; name it in networkPolicy.also, or take the exception away" $cidr .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $seen := dict -}}
{{- range $name, $tenant := .Values.tenants }}
{{- $namespace := $tenant.namespace | default $name -}}
{{- if eq $namespace $.Release.Namespace }}
{{- fail (printf "tenants.%s: its namespace is that of the gateway, %s; agents need one of their own" $name $namespace) }}
{{- end }}
{{- if hasKey $seen $namespace }}
{{- fail (printf "tenants.%s: its namespace, %s, is that of tenants.%s" $name $namespace (get $seen $namespace)) }}
{{- end }}
{{- if and $.Values.clusterTokens.enabled (ne $namespace $name) }}
{{- fail (printf "tenants.%s.namespace: %s; with clusterTokens the namespace of a token is its tenant, so both need one name" $name $namespace) }}
{{- end }}
{{- $_ := set $seen $namespace $name -}}
{{- if $tenant.policy }}
{{- $map := printf "%s-tenant-%s" $.Release.Name $name -}}
{{- $there := lookup "v1" "ConfigMap" $.Release.Namespace $map -}}
{{- $owner := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $there -}}
{{- if and $there (ne $owner $.Release.Name) }}
{{- fail (printf "tenants.%s.policy: the policy of this tenant is in ConfigMap %s already, by %s; take one of the two away" $name $map (ternary (printf "release %s" $owner) "nobody's release" (ne $owner ""))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
