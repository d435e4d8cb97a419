/** The schema of the values of deploy/chart/clawmesh-gateway. */
import { configJsonSchema } from '@clawmesh/gateway'
import {
  bool,
  cidr,
  dnsName,
  goDuration,
  key,
  LABEL_PATTERN,
  label,
  list,
  matching,
  objectName,
  oneOf,
  orEmpty,
  port,
  quantity,
  type Schema,
  section,
  text,
  texts,
  valuesSchema,
  whole,
  without,
} from './json-schema.ts'
import { globalPolicy, tenantPolicy } from './policy-values.ts'

/** Settings that the chart decides, by the keys of the gateway's configuration. */
const DECIDED: readonly string[] = [
  ...['trustDomain', 'meshDomain', 'workers', 'drainMs'],
  ...['identity', 'policy', 'keys.dir', 'serviceAccounts', 'revocation'],
  ...['egress.listen', 'egress.tls', 'egress.ca', 'delegation.listen', 'delegation.names'],
  ...['admin', 'health', 'limits.redis', 'limits.whenRedisIsAway'],
  // the root of the file system is read-only: the audit log goes to stdout
  'audit.file',
]

const PART = '[a-z0-9]+([._-]+[a-z0-9]+)*'
const repository = matching(
  `^([a-zA-Z0-9.-]+(:[0-9]+)?/)?${PART}(/${PART})*$`,
  'registry and name of the image, without a tag',
)
const digest = matching('^sha256:[0-9a-f]{64}$', 'the digest of the image; a tag can be moved')
const ipAddress = matching('^[0-9a-fA-F:.]+$', 'an IP address')

const image = section({
  repository,
  digest,
  pullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
  pullSecrets: list(objectName),
})

const trustedObject = section({ name: objectName, key })
/** As a Bundle of trust-manager has it, but for the public CAs, which the mesh does not trust. */
const trustSource: Schema = {
  ...{ type: 'object', minProperties: 1, maxProperties: 1 },
  properties: { secret: trustedObject, configMap: trustedObject, inLine: text },
  additionalProperties: false,
}

const identity = section({
  secretName: orEmpty(objectName),
  trustBundle: section({ configMap: orEmpty(objectName), key, sources: list(trustSource) }),
  certManager: section({
    enabled: bool,
    gatewayName: orEmpty(label),
    issuerRef: section({ name: orEmpty(objectName), kind: text, group: text }),
    duration: goDuration,
    renewBefore: goDuration,
    dnsNames: list(text),
  }),
})

const resourceList: Schema = {
  ...{ type: 'object', properties: { cpu: quantity, memory: quantity } },
  ...{ required: ['cpu', 'memory'], additionalProperties: false },
}

const networkPolicy = section({
  enabled: bool,
  healthFrom: list(cidr),
  clientsFrom: list(cidr),
  dns: section({ namespace: label, podLabels: texts, cidrs: list(cidr) }),
  outside: section({ ports: list(port), cidrs: list(cidr), except: list(cidr) }),
  agentPorts: list(port),
  also: list(section({ cidr, ports: list(port, 1) })),
})

const monitoring = section({
  namespace: label,
  podLabels: texts,
  serviceMonitor: section({ enabled: bool, interval: goDuration, labels: texts }),
  prometheusRule: section({ enabled: bool, labels: texts }),
  dashboard: section({ enabled: bool, labels: texts }),
})

const tenant: Schema = {
  ...{ type: 'object', properties: { policy: tenantPolicy(), namespace: label } },
  additionalProperties: false,
}
// a bad name is an unknown key: the message has its path, which that of propertyNames lacks
const tenants: Schema = {
  ...{ type: 'object', patternProperties: { [LABEL_PATTERN]: tenant } },
  additionalProperties: false,
}

export function gatewayValuesSchema(): object {
  return valuesSchema('Values of the chart clawmesh-gateway', {
    image,
    replicas: whole(1, 100),
    workers: { anyOf: [{ const: 'auto' }, whole(1, 64)] },
    trustDomain: dnsName,
    meshDomain: orEmpty(dnsName),
    clusterDomain: dnsName,
    // what a gateway needs at least is among what the chart decides
    config: { ...without(configJsonSchema(), ...DECIDED), required: [] },
    drainSeconds: whole(0, 3600),
    preStopSeconds: whole(1, 300),
    identity,
    signingKeys: section({ secretName: objectName }),
    serviceAccounts: section({ secretName: orEmpty(objectName), key }),
    clusterTokens: section({
      enabled: bool,
      issuer: matching('^https://[^ ]+$', 'what `iss` of the tokens is: a URL'),
      jwksUri: matching('^$|^https://[^ ]+$', 'an https URL; "" is that of the API server'),
      audience: matching('^[^ ]{1,253}$', 'what `aud` of the tokens must be'),
    }),
    egressTls: section({ secretName: orEmpty(objectName) }),
    egressCa: section({ configMap: orEmpty(objectName), key }),
    revocation: section({
      ...{ configMap: orEmpty(objectName), crlKey: orEmpty(key), listKey: orEmpty(key) },
      stale: oneOf('refuse', 'keep'),
    }),
    redis: section({
      url: matching('^$|^rediss?://', 'redis://host:port/db, or rediss:// for TLS'),
      username: text,
      ...{ passwordSecret: orEmpty(objectName), passwordKey: key },
      ...{ caConfigMap: orEmpty(objectName), caKey: key },
      whenAway: oneOf('refuse', 'local'),
    }),
    policy: section({ global: globalPolicy() }),
    tenants,
    listenAddress: oneOf('0.0.0.0', '::'),
    service: section({
      type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer'),
      clusterIP: orEmpty(ipAddress),
      annotations: texts,
      externalTrafficPolicy: oneOf('Cluster', 'Local'),
      loadBalancerSourceRanges: list(cidr),
    }),
    resources: section({ requests: resourceList, limits: resourceList }),
    podDisruptionBudget: section({ enabled: bool, maxUnavailable: whole(1, 100) }),
    autoscaling: section({
      ...{ enabled: bool, maxReplicas: whole(1, 1000), targetCPUPercent: whole(1, 100) },
    }),
    topologySpread: section({
      enabled: bool,
      topologyKeys: list(text, 1),
      whenUnsatisfiable: oneOf('ScheduleAnyway', 'DoNotSchedule'),
    }),
    nodeSelector: texts,
    tolerations: list({ type: 'object' }),
    priorityClassName: orEmpty(objectName),
    networkPolicy,
    monitoring,
  })
}
