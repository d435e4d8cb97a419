/** Policy as a value of a chart: the schema of policy files, without what the chart writes itself. */
import { policyJsonSchema } from '@clawmesh/gateway'
import { propertyOf, type Schema, without } from './json-schema.ts'

/** The policy of one tenant: the chart writes `tenant`. */
export function tenantPolicy(): Schema {
  return without(variant('tenant'), 'tenant', '$schema')
}

/** `_global.json`. */
export function globalPolicy(): Schema {
  return without(variant('delegation', 'tenant'), '$schema')
}

function variant(having: string, lacking?: string): object {
  const all = propertyOf(policyJsonSchema(), 'anyOf')
  const found = Array.isArray(all)
    ? all.find((each: unknown) => {
        const properties = propertyOf(each, 'properties')
        const has = (name: string) => propertyOf(properties, name) !== undefined
        return has(having) && (lacking === undefined || !has(lacking))
      })
    : undefined
  if (found === undefined) throw new TypeError(`the schema of policy has no variant with ${having}`)
  return found
}
