/** The forms that the schemas of both charts are made of. Draft 2020-12; patterns are those of Go, without look-around. */

export type Schema = Readonly<Record<string, unknown>>

/** Unknown keys are refused. Every key is there by its default: null, which takes a default away, is refused as well. */
export function section(properties: Readonly<Record<string, Schema>>): Schema {
  return {
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  }
}

export function valuesSchema(title: string, properties: Readonly<Record<string, Schema>>): object {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title,
    ...section({ ...properties }),
    // Helm adds it for charts that are parts of others
    properties: { ...properties, global: { type: 'object' } },
  }
}

export const bool: Schema = { type: 'boolean' }
export const text: Schema = { type: 'string' }
/** By name; for labels, annotations, node selectors. */
export const texts: Schema = { type: 'object', additionalProperties: text }

export function matching(pattern: string, description: string): Schema {
  return { type: 'string', pattern, description }
}

/** The same, or "". */
export function orEmpty({ pattern, ...rest }: Schema): Schema {
  return { ...rest, pattern: `^$|${pattern}` }
}

export function whole(minimum: number, maximum: number): Schema {
  return { type: 'integer', minimum, maximum }
}

export function oneOf(...values: readonly string[]): Schema {
  return { type: 'string', enum: values }
}

export function list(items: Schema, minItems = 0): Schema {
  return { type: 'array', items, ...(minItems === 0 ? {} : { minItems }) }
}

const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'

/** RFC 1123: names of namespaces and of tenants. */
export const LABEL_PATTERN = `^${LABEL}$`
export const label = matching(LABEL_PATTERN, 'a lower-case DNS label of up to 63 characters')
export const dnsName = matching(`^${LABEL}([.]${LABEL})*$`, 'a lower-case DNS name')
export const objectName = matching(
  '^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$',
  'the name of an object of Kubernetes',
)
export const key = matching('^[-._a-zA-Z0-9]{1,253}$', 'a key of a ConfigMap or a Secret')
export const port = whole(1, 65_535)
export const cidr = matching(
  '^[0-9a-fA-F:.]+/[0-9]{1,3}$',
  'a CIDR, such as 10.0.0.0/8 or fd00::/8',
)
export const goDuration = matching('^([0-9]+(h|m|s))+$', 'a time, such as 24h or 90m')
export const quantity: Schema = {
  anyOf: [
    { type: 'number', exclusiveMinimum: 0 },
    matching('^[0-9]+([.][0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$', 'a quantity, such as 500m or 2Gi'),
  ],
}

/** The same, or none at all. */
export const count: Schema = { anyOf: [{ type: 'number', minimum: 0 }, quantity] }

/** The part of a JSON Schema of ours that a chart takes as a value: without the keys that the chart decides itself. */
export function without(schema: object, ...keys: readonly string[]): Schema {
  const copy = structuredClone(schema)
  for (const dotted of keys) {
    const path = dotted.split('.')
    const last = path.pop() ?? ''
    let at: unknown = copy
    for (const part of path) at = propertyOf(propertyOf(at, 'properties'), part)
    const properties = propertyOf(at, 'properties')
    if (!isRecord(properties) || !(last in properties))
      throw new TypeError(`the schema has no ${dotted}`)
    delete properties[last]
    const required = propertyOf(at, 'required')
    if (isRecord(at) && Array.isArray(required))
      at.required = required.filter((each) => each !== last)
  }
  return { ...copy }
}

export function propertyOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
