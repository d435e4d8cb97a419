/** The JSON Schemas that are made from code, by their files. */
import { policyJsonSchema } from '@clawmesh/gateway'
import { gatewayValuesSchema } from '../chart/gateway-values.ts'
import { tenantValuesSchema } from '../chart/tenant-values.ts'

export const JSON_SCHEMAS: Readonly<Record<string, object>> = Object.freeze({
  'docs/reference/policy.schema.json': policyJsonSchema(),
  'deploy/chart/clawmesh-gateway/values.schema.json': gatewayValuesSchema(),
  'deploy/chart/clawmesh-tenant/values.schema.json': tenantValuesSchema(),
})
