{{- /* Directories, never subPath: a file that is mounted by subPath never changes. */ -}}

{{- define "gateway.mounts" -}}
- { name: config, mountPath: /etc/clawmesh/config, readOnly: true }
- { name: identity, mountPath: /etc/clawmesh/identity, readOnly: true }
- { name: keys, mountPath: /etc/clawmesh/keys, readOnly: true }
- { name: policy, mountPath: /etc/clawmesh/policy, readOnly: true }
{{- range $name, $tenant := .Values.tenants }}
- { name: {{ include "gateway.tenantVolume" $name | quote }}, mountPath: /etc/clawmesh/tenants/{{ $name }}, readOnly: true }
{{- end }}
{{- if .Values.serviceAccounts.secretName }}
- { name: accounts, mountPath: /etc/clawmesh/accounts, readOnly: true }
{{- end }}
{{- if include "gateway.asksApiServer" . }}
- { name: api-server, mountPath: /etc/clawmesh/api-server, readOnly: true }
{{- end }}
{{- if .Values.egressTls.secretName }}
- { name: egress-tls, mountPath: /etc/clawmesh/egress-tls, readOnly: true }
{{- end }}
{{- if .Values.egressCa.configMap }}
- { name: egress-ca, mountPath: /etc/clawmesh/egress-ca, readOnly: true }
{{- end }}
{{- if .Values.revocation.configMap }}
- { name: revocation, mountPath: /etc/clawmesh/revocation, readOnly: true }
{{- end }}
{{- if .Values.redis.passwordSecret }}
- { name: redis-password, mountPath: /etc/clawmesh/redis-password, readOnly: true }
{{- end }}
{{- if .Values.redis.caConfigMap }}
- { name: redis-ca, mountPath: /etc/clawmesh/redis-ca, readOnly: true }
{{- end }}
{{- end }}

{{- define "gateway.volumes" -}}
- name: config
  configMap: { name: {{ include "gateway.name" . }}-config }
- name: identity
  {{- if .Values.identity.trustBundle.configMap }}
  # one volume, so that certificate and CAs change in one step
  projected:
    defaultMode: 0400
    sources:
      - secret:
          name: {{ include "gateway.identitySecret" . | quote }}
          items:
            - { key: tls.crt, path: tls.crt }
            - { key: tls.key, path: tls.key }
      - configMap:
          name: {{ .Values.identity.trustBundle.configMap | quote }}
          items:
            - { key: {{ .Values.identity.trustBundle.key | quote }}, path: ca.crt }
  {{- else }}
  secret: { secretName: {{ include "gateway.identitySecret" . | quote }}, defaultMode: 0400 }
  {{- end }}
- name: keys
  secret: { secretName: {{ .Values.signingKeys.secretName | quote }}, defaultMode: 0400 }
- name: policy
  configMap: { name: {{ include "gateway.name" . }}-policy }
{{- range $name, $tenant := .Values.tenants }}
- name: {{ include "gateway.tenantVolume" $name | quote }}
  configMap:
    name: {{ include "gateway.name" $ }}-tenant-{{ $name }}
    # that of a release of clawmesh-tenant may come and go while pods run
    optional: {{ not $tenant.policy }}
{{- end }}
{{- with .Values.serviceAccounts }}{{ if .secretName }}
- name: accounts
  secret: { secretName: {{ .secretName | quote }}, defaultMode: 0400 }
{{- end }}{{ end }}
{{- if include "gateway.asksApiServer" . }}
- name: api-server
  projected:
    defaultMode: 0400
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3600 }
      - configMap:
          name: kube-root-ca.crt
          items:
            - { key: ca.crt, path: ca.crt }
{{- end }}
{{- with .Values.egressTls }}{{ if .secretName }}
- name: egress-tls
  secret: { secretName: {{ .secretName | quote }}, defaultMode: 0400 }
{{- end }}{{ end }}
{{- with .Values.egressCa }}{{ if .configMap }}
- name: egress-ca
  configMap: { name: {{ .configMap | quote }} }
{{- end }}{{ end }}
{{- with .Values.revocation }}{{ if .configMap }}
- name: revocation
  configMap: { name: {{ .configMap | quote }} }
{{- end }}{{ end }}
{{- with .Values.redis }}{{ if .passwordSecret }}
- name: redis-password
  secret: { secretName: {{ .passwordSecret | quote }}, defaultMode: 0400 }
{{- end }}{{ end }}
{{- with .Values.redis }}{{ if .caConfigMap }}
- name: redis-ca
  configMap: { name: {{ .caConfigMap | quote }} }
{{- end }}{{ end }}
{{- end }}
