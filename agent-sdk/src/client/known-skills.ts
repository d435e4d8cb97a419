/**
 * What peers have said of their skills lately: input is checked by it before it is sent, and results when they come. Forgotten
 * after a while, since a peer may be replaced by a newer one.
 */
import { MeshError } from '@clawmesh/proto'
import { describedValue, type Part } from '../model/part.ts'
import { createSchemaChecker } from '../schema/check-value.ts'
import { type CompiledSchema, compileJsonSchema, type JsonSchema } from '../schema/json-schema.ts'
import type { SkillDescription } from '../wire/skill-codec.ts'

export interface KnownSkills {
  remember(peer: string, skills: readonly SkillDescription[]): void
  /** @throws MeshError MESH_TASK_INPUT_INVALID */
  checkInput(peer: string, skill: string, input: readonly Part[]): void
  /** @throws MeshError MESH_TASK_OUTPUT_INVALID */
  checkOutput(peer: string, skill: string, output: readonly Part[]): void
}

interface Known {
  readonly untilMs: number
  readonly skills: ReadonlyMap<
    string,
    { input: CompiledSchema | null; output: CompiledSchema | null }
  >
}

const KNOWN_MS = 300_000
const MAX_PEERS = 256

/** @param monotonicNow milliseconds. Default performance.now */
export function createKnownSkills(monotonicNow = () => performance.now()): KnownSkills {
  const checker = createSchemaChecker()
  const peers = new Map<string, Known>()

  const schemasOf = (peer: string, skill: string) => {
    const known = peers.get(peer)
    if (known === undefined) return null
    if (known.untilMs > monotonicNow()) return known.skills.get(skill) ?? null
    peers.delete(peer)
    return null
  }
  return {
    remember(peer, described) {
      const skills = new Map(
        described.map(({ name, input, output }) => [
          name,
          { input: compiled(input), output: compiled(output) },
        ]),
      )
      peers.delete(peer)
      peers.set(peer, { untilMs: monotonicNow() + KNOWN_MS, skills })
      const [oldest] = peers.keys()
      if (peers.size > MAX_PEERS && oldest !== undefined) peers.delete(oldest)
    },
    checkInput(peer, skill, input) {
      const schema = schemasOf(peer, skill)?.input ?? null
      const fault = schema === null ? null : checker.check(schema, asSent(describedValue(input)))
      if (fault !== null) throw new MeshError('MESH_TASK_INPUT_INVALID', `the input ${fault}`)
    },
    checkOutput(peer, skill, output) {
      const schema = schemasOf(peer, skill)?.output ?? null
      const fault = schema === null ? null : checker.check(schema, describedValue(output))
      if (fault !== null) throw new MeshError('MESH_TASK_OUTPUT_INVALID', `the result ${fault}`)
    },
  }
}

function compiled(schema: JsonSchema | null): CompiledSchema | null {
  const found = schema === null ? null : compileJsonSchema(schema)
  return typeof found === 'string' ? null : found
}

/** As it arrives. What cannot be written as JSON is refused when it is written. */
function asSent(value: unknown): unknown {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? null : JSON.parse(text)
  } catch {
    return null
  }
}
