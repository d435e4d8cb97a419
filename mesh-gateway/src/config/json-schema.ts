/** The JSON Schema of the configuration file, for editors and for what writes such a file: the Helm chart. */
import { z } from 'zod'
import { configSchema } from './schema.ts'

/**
 * Draft 2020-12; unknown keys are refused at every level. It says less than the gateway, which judges names, addresses,
 * and what depends on two keys at its start.
 */
export function configJsonSchema(): object {
  const schema = z.toJSONSchema(configSchema, {
    ...{ io: 'input', reused: 'inline', unrepresentable: 'any' },
  })
  return withoutSections(schema)
}

/**
 * A missing section equals an empty one, which zod cannot know: sections are made by functions. The inner ones come
 * first: a section is needed when something in it is.
 */
function withoutSections(value: unknown): object {
  if (!isRecord(value)) throw new TypeError('a schema of the configuration is no object')
  const { required, properties, items, ...rest } = value
  const inner = isRecord(properties)
    ? Object.fromEntries(
        Object.entries(properties).map(([key, each]) => [key, withoutSections(each)] as const),
      )
    : null
  const needed = Array.isArray(required)
    ? required.map(String).filter((key) => !isSection(inner?.[key]))
    : []
  return {
    ...rest,
    ...(inner === null ? {} : { properties: inner }),
    ...(items === undefined ? {} : { items: withoutSections(items) }),
    ...(needed.length === 0 ? {} : { required: needed }),
  }
}

function isSection(schema: object | undefined): boolean {
  return isRecord(schema) && schema.type === 'object' && schema.required === undefined
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
