/** Descriptions of skills to the wire and back. What a peer says of its skills is read within bounds, and never trusted. */
import { printableLines } from '@clawmesh/proto'
import { compileJsonSchema, isJsonSchema, type JsonSchema } from '../schema/json-schema.ts'
import type { WireSkill } from './messages.ts'
import { isSkillName } from './request-codec.ts'

/** One skill of a peer, as `agent.describe` answers it. What it says is the peer's: text of others, for a model too. */
export interface SkillDescription {
  /** What `delegate` takes. */
  readonly name: string
  /** Empty where the peer says nothing. At most 4,096 characters, without control characters. */
  readonly description: string
  /** Of the first JSON part of the input, else of all its text, else of null. Null: the peer does not say, or not in a usable way. */
  readonly input: JsonSchema | null
  /** The same of the output. */
  readonly output: JsonSchema | null
  /** Why a schema of the peer is not used, e.g. `input: is nested more than 32 deep`. */
  readonly faults: readonly string[]
}

export const MAX_DESCRIPTION = 4_096
const MAX_SKILLS = 1_000

export function encodeSkill(skill: Omit<SkillDescription, 'faults'>): WireSkill {
  const text = (schema: JsonSchema | null) => (schema === null ? '' : JSON.stringify(schema))
  const { name, description, input, output } = skill
  return { name, description, input_schema: text(input), output_schema: text(output) }
}

/** Leaves out what is no name of a skill, and what is named before. */
export function decodeSkills(skills: readonly WireSkill[]): readonly SkillDescription[] {
  const found = new Map<string, SkillDescription>()
  for (const skill of skills.slice(0, MAX_SKILLS))
    if (isSkillName(skill.name) && !found.has(skill.name)) found.set(skill.name, decode(skill))
  return [...found.values()]
}

function decode({ name, description, input_schema, output_schema }: WireSkill): SkillDescription {
  const faults: string[] = []
  const schema = (text: string, which: string): JsonSchema | null => {
    const read = readSchema(text)
    if (typeof read !== 'string') return read
    faults.push(`${which}: ${printableLines(read)}`)
    return null
  }
  const [input, output] = [schema(input_schema, 'input'), schema(output_schema, 'output')]
  const words = printableLines(description.slice(0, MAX_DESCRIPTION).toWellFormed())
  return Object.freeze({ name, description: words, input, output, faults: Object.freeze(faults) })
}

/** A text says why it is of no use. */
function readSchema(text: string): JsonSchema | null | string {
  if (text === '') return null
  try {
    const schema: unknown = JSON.parse(text)
    const compiled = compileJsonSchema(schema)
    if (typeof compiled === 'string') return compiled
    return isJsonSchema(schema) ? schema : null
  } catch {
    return 'is not JSON'
  }
}
