/** The JSON Schema of the configuration file, for editors and for what writes such a file: the Helm chart. */
import { z } from 'zod'
import { configSchema } from './schema.ts'

/**
 * Draft 2020-12; unknown keys are refused at every level. It says less than the gateway, which judges names, addresses,
 * and what depends on two keys at its start.
 */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, {
    ...{ io: 'input', reused: 'inline', unrepresentable: 'any' },
    override: ({ jsonSchema }) => {
      const { required, properties = {} } = jsonSchema
      if (required === undefined) return
      const needed = required.filter((key) => !isSection(properties[key]))
      if (needed.length > 0) jsonSchema.required = needed
      else delete jsonSchema.required
    },
  })
}

/** A missing section equals an empty one, which zod cannot know: the sections are made by functions. */
function isSection(schema: z.core.JSONSchema._JSONSchema | undefined): boolean {
  return typeof schema === 'object' && schema.type === 'object' && schema.required === undefined
}
