/** Values of both charts: the least that they need, and everything that they have. */
import type { Values } from './helm.ts'

export const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`

export const LEAST: Values = {
  image: { repository: 'registry.example:5000/clawmesh/gateway', digest: DIGEST },
  trustDomain: 'mesh.internal',
  identity: { secretName: 'gateway-identity' },
  signingKeys: { secretName: 'gateway-keys' },
}

export const OTHER_ISSUER = {
  ...{ issuer: 'https://login.example', jwksUri: 'https://login.example/jwks' },
  ...{ tenants: ['acme'], fixedTenant: 'acme', destinations: 'policy' },
}

export const EVERYTHING: Values = {
  ...LEAST,
  image: {
    ...{ repository: 'registry.example:5000/clawmesh/gateway', digest: DIGEST },
    ...{ pullPolicy: 'Always', pullSecrets: ['registry'] },
  },
  meshDomain: 'svc.cluster.local',
  config: {
    log: { level: 'debug' },
    egress: { limits: { maxConnections: 500 } },
    delegation: { peerPorts: [7443, 7444] },
    tokens: { ttlMs: '5m', issuers: [] },
    timeouts: { dialMs: 5000 },
  },
  identity: {
    trustBundle: {
      configMap: 'mesh-roots',
      sources: [
        { secret: { name: 'mesh-ca', key: 'tls.crt' } },
        { configMap: { name: 'old-mesh-ca', key: 'ca.crt' } },
        { inLine: 'a certificate' },
      ],
    },
    certManager: { enabled: true, issuerRef: { name: 'mesh' }, dnsNames: ['gw.example.com'] },
  },
  serviceAccounts: { secretName: 'accounts' },
  egressTls: { secretName: 'egress-tls' },
  egressCa: { configMap: 'corporate-ca' },
  revocation: { configMap: 'revoked', crlKey: 'crl.pem', listKey: 'revoked.json' },
  redis: {
    ...{ url: 'rediss://redis.mesh-system:6380/0', username: 'gateway' },
    ...{ passwordSecret: 'redis', caConfigMap: 'redis-ca' },
  },
  policy: { global: { egress: { deny: ['*.pastebin.com'] } } },
  tenants: {
    acme: {},
    globex: {
      namespace: 'globex-agents',
      policy: {
        egress: { allow: ['api.openai.com'], limits: { maxBodyBytes: 10_485_760 } },
        delegation: { allow: [{ from: 'planner', to: 'researcher', methods: ['*'] }] },
      },
    },
    [`t${'0'.repeat(62)}`]: { policy: { mode: 'audit' } },
  },
  service: {
    ...{ type: 'LoadBalancer', clusterIP: '10.96.0.99', externalTrafficPolicy: 'Local' },
    ...{
      annotations: { 'example.com/internal': 'true' },
      loadBalancerSourceRanges: ['10.0.0.0/8'],
    },
  },
  autoscaling: { enabled: true },
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'mesh', operator: 'Exists', effect: 'NoSchedule' }],
  priorityClassName: 'system-cluster-critical',
  networkPolicy: {
    healthFrom: ['10.0.0.0/24'],
    clientsFrom: ['192.0.2.0/24'],
    dns: { cidrs: ['169.254.20.10/32'] },
    also: [{ cidr: '10.20.0.5/32', ports: [6380] }],
  },
  monitoring: {
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
    dashboard: { enabled: true },
  },
}

/** Agents come with tokens of the cluster, and the keys of these are at its API server. */
export const TOKENS_OF_CLUSTER: Values = {
  ...LEAST,
  clusterDomain: 'cluster.example',
  config: { tokens: { ttlMs: '5m', issuers: [OTHER_ISSUER] } },
  tenants: { globex: {}, acme: {} },
  clusterTokens: { enabled: true },
  networkPolicy: { also: [{ cidr: '10.0.0.1/32', ports: [6443] }] },
}

export const LEAST_TENANT: Values = { tenant: 'acme', gateway: { release: 'mesh' } }

export const EVERY_TENANT: Values = {
  ...LEAST_TENANT,
  policy: { egress: { allow: ['api.github.com'] } },
  namespace: { name: 'acme-agents', labels: { team: 'red' } },
  networkPolicy: { dns: { enabled: true } },
  certificates: {
    ...{ trustDomain: 'mesh.internal', meshDomain: 'svc.cluster.local' },
    ...{ issuerRef: { name: 'mesh' }, agents: ['planner', 'researcher'] },
  },
}
