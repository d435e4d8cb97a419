/** The schema of the values of deploy/chart/clawmesh-tenant. */
import {
  bool,
  count,
  dnsName,
  goDuration,
  label,
  list,
  objectName,
  orEmpty,
  port,
  quantity,
  section,
  text,
  texts,
  valuesSchema,
} from './json-schema.ts'
import { tenantPolicy } from './policy-values.ts'

const resources = section({ cpu: quantity, memory: quantity })

export function tenantValuesSchema(): object {
  return valuesSchema('Values of the chart clawmesh-tenant', {
    tenant: label,
    gateway: section({ release: objectName }),
    policy: tenantPolicy(),
    namespace: section({ create: bool, name: orEmpty(label), labels: texts }),
    quota: { type: 'object', additionalProperties: count },
    containerDefaults: section({ requests: resources, limits: resources }),
    networkPolicy: section({
      agentPorts: list(port, 1),
      dns: section({ enabled: bool, namespace: label, podLabels: texts }),
    }),
    certificates: section({
      ...{ trustDomain: orEmpty(dnsName), meshDomain: orEmpty(dnsName) },
      issuerRef: section({ name: orEmpty(objectName), kind: text, group: text }),
      ...{ duration: goDuration, renewBefore: goDuration },
      agents: list(label),
    }),
  })
}
