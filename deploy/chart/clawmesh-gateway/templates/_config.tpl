{{- /* The configuration file of the gateway, as JSON: what the chart decides, and `config` beside it. */ -}}

{{- define "gateway.config" -}}
{{- $host := include "gateway.listenHost" . -}}
{{- $dir := "/etc/clawmesh" -}}
{{- $admin := ternary (printf "%s:9090" $host) "127.0.0.1:9090" (eq (include "gateway.scraped" .) "true") -}}
{{- $own := dict
  "trustDomain" .Values.trustDomain
  "meshDomain" (include "gateway.meshDomain" .)
  "workers" .Values.workers
  "drainMs" (printf "%ds" (int .Values.drainSeconds))
  "identity" (dict "dir" (printf "%s/identity" $dir))
  "keys" (dict "dir" (printf "%s/keys" $dir))
  "policy" (dict "dir" (printf "%s/policy" $dir))
  "egress" (dict "listen" (printf "%s:8080" $host))
  "delegation" (dict "listen" (printf "%s:8443" $host) "names" (include "gateway.serviceNames" . | fromJsonArray))
  "health" (dict "listen" (printf "%s:9091" $host))
  "admin" (dict "listen" $admin)
-}}
{{- if .Values.tenants }}{{ $_ := set $own.policy "tenantDirs" (printf "%s/tenants" $dir) }}{{ end -}}
{{- with .Values.serviceAccounts }}{{ if .secretName }}{{ $_ := set $own "serviceAccounts" (dict "file" (printf "%s/accounts/%s" $dir .key)) }}{{ end }}{{ end -}}
{{- with .Values.clusterTokens }}{{ if .enabled }}
{{- $issuer := dict
  "issuer" .issuer
  "jwksUri" (.jwksUri | default (printf "https://kubernetes.default.svc.%s/openid/v1/jwks" $.Values.clusterDomain))
  "audience" .audience
  "tenants" (keys $.Values.tenants | sortAlpha)
  "claims" (dict "tenant" "/kubernetes.io/namespace" "agent" "/kubernetes.io/serviceaccount/name")
  "destinations" "policy"
-}}
{{- if not .jwksUri }}
{{- $_ := set $issuer "caFile" (printf "%s/api-server/ca.crt" $dir) }}
{{- $_ := set $issuer "tokenFile" (printf "%s/api-server/token" $dir) }}
{{- end }}
{{- $others := dig "tokens" "issuers" list $.Values.config }}
{{- $_ := set $own "tokens" (dict "issuers" (append $others $issuer)) }}
{{- end }}{{ end -}}
{{- if .Values.egressTls.secretName }}{{ $_ := set $own.egress "tls" (dict "dir" (printf "%s/egress-tls" $dir)) }}{{ end -}}
{{- with .Values.egressCa }}{{ if .configMap }}{{ $_ := set $own.egress "ca" (printf "%s/egress-ca/%s" $dir .key) }}{{ end }}{{ end -}}
{{- with .Values.revocation }}{{ if .configMap }}
{{- $revocation := dict "stale" .stale -}}
{{- if .crlKey }}{{ $_ := set $revocation "crl" (printf "%s/revocation/%s" $dir .crlKey) }}{{ end -}}
{{- if .listKey }}{{ $_ := set $revocation "list" (printf "%s/revocation/%s" $dir .listKey) }}{{ end -}}
{{- $_ := set $own "revocation" $revocation }}
{{- end }}{{ end -}}
{{- with .Values.redis }}{{ if .url }}
{{- $redis := dict "url" .url -}}
{{- if .username }}{{ $_ := set $redis "username" .username }}{{ end -}}
{{- if .passwordSecret }}{{ $_ := set $redis "passwordFile" (printf "%s/redis-password/%s" $dir .passwordKey) }}{{ end -}}
{{- if .caConfigMap }}{{ $_ := set $redis "caFile" (printf "%s/redis-ca/%s" $dir .caKey) }}{{ end -}}
{{- $_ := set $own "limits" (dict "redis" $redis "whenRedisIsAway" .whenAway) }}
{{- end }}{{ end -}}
{{- mustMergeOverwrite (deepCopy .Values.config) $own | toPrettyJson }}
{{- end }}
