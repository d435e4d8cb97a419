/** The skills that an agent serves: their descriptions, who may call them, and the checks of what goes in and comes out. */
import { type AgentIdentity, MeshError, nearest } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import { type Content, describedValue, toParts } from '../model/part.ts'
import { createSchemaChecker } from '../schema/check-value.ts'
import { readValueSchema, type ValueSchema } from '../schema/value-schema.ts'
import { MAX_DESCRIPTION, type SkillDescription } from '../wire/skill-codec.ts'
import type { Skill, SkillWithOptions } from './skill.ts'

export interface ServedSkills {
  /** The skill as it runs, checks included; null where this caller has none of that name. */
  find(name: string, caller: AgentIdentity): ServedSkill | null
  /** The same for a task that was begun before. */
  resume(name: string): ServedSkill | null
  /** @param names only these; empty: all that the caller may call */
  describe(caller: AgentIdentity, names: readonly string[]): Omit<SkillDescription, 'faults'>[]
  /** For a name that the caller asked for and that is not there. */
  unknown(asked: string, caller: AgentIdentity): MeshError
}

export interface ServedSkill {
  readonly run: Skill
  readonly resume: boolean
}

interface Entry extends ServedSkill {
  readonly allows: (caller: AgentIdentity) => boolean
  readonly shown: Omit<SkillDescription, 'faults'>
}

type Skills = Readonly<Record<string, Skill | SkillWithOptions>>

/** Of all descriptions and schemas together: they travel in one message. */
const MAX_SHOWN_BYTES = 2 * 1024 * 1024

/** @throws TypeError for descriptions and schemas that cannot be used */
export function createServedSkills(skills: Skills, log: Log): ServedSkills {
  const checker = createSchemaChecker()
  const schemaOf = (given: unknown, option: string) =>
    given === undefined ? null : readValueSchema(given, checker, option)
  const entries = new Map(
    Object.entries(skills).map(([name, given]): [string, Entry] => {
      const skill: SkillWithOptions = typeof given === 'function' ? { run: given } : given
      const { description = '', allows = () => true, resume = false } = skill
      const input = schemaOf(skill.input, `skills.${name}.input`)
      const output = schemaOf(skill.output, `skills.${name}.output`)
      checkDescription(description, name)
      const shown = { name, description, input: input?.json ?? null, output: output?.json ?? null }
      return [name, { run: checked(skill.run, input, output), resume, allows, shown }]
    }),
  )
  const bytes = Buffer.byteLength(JSON.stringify([...entries.values()].map(({ shown }) => shown)))
  if (bytes > MAX_SHOWN_BYTES)
    throw new TypeError(
      `skills: descriptions and schemas take ${bytes} bytes of ${MAX_SHOWN_BYTES}`,
    )

  /** What cannot be decided is refused. */
  const mayCall = ({ allows, shown }: Entry, caller: AgentIdentity) => {
    try {
      return allows(caller) === true
    } catch (err) {
      log.error({ err, skill: shown.name, caller: caller.id }, '`allows` of the skill failed')
      return false
    }
  }
  const allowed = (caller: AgentIdentity) =>
    [...entries.values()].filter((entry) => mayCall(entry, caller)).map(({ shown }) => shown)
  return {
    find(name, caller) {
      const entry = entries.get(name)
      return entry !== undefined && mayCall(entry, caller) ? entry : null
    },
    resume: (name) => entries.get(name) ?? null,
    describe: (caller, names) =>
      allowed(caller).filter(({ name }) => names.length === 0 || names.includes(name)),
    unknown: (asked, caller) =>
      unknownSkill(
        asked,
        allowed(caller).map(({ name }) => name),
      ),
  }
}

function checkDescription(description: unknown, name: string): void {
  if (typeof description === 'string' && description.length <= MAX_DESCRIPTION) return
  throw new TypeError(
    `skills.${name}.description: must be a text of ${MAX_DESCRIPTION} characters at most`,
  )
}

/** A skill without schemas runs as it is. */
function checked(run: Skill, input: ValueSchema | null, output: ValueSchema | null): Skill {
  if (input === null && output === null) return run
  return async (task, ctx) => {
    const wrong = (await input?.check(describedValue(task.input))) ?? null
    if (wrong !== null) throw new MeshError('MESH_TASK_INPUT_INVALID', `the input ${wrong}`)
    const result = await run(task, ctx)
    const fault = output === null ? null : await output.check(asSent(result))
    if (fault === null) return result
    ctx.log.error({ fault }, 'the result of the skill is not as its schema says')
    throw new MeshError('MESH_TASK_OUTPUT_INVALID')
  }
}

/** As JSON says it to the caller: without what JSON leaves out. */
function asSent(result: Content | undefined): unknown {
  const value = describedValue(toParts(result))
  const text = JSON.stringify(value)
  return text === undefined ? null : JSON.parse(text)
}

/** Names one skill at most, and only to a caller that nearly knew it. */
function unknownSkill(asked: string, names: Iterable<string>): MeshError {
  const meant = nearest(asked, names, Math.min(2, Math.floor(asked.length / 4)))
  return new MeshError(
    'MESH_TASK_SKILL_UNKNOWN',
    meant === null ? undefined : `the agent has no such skill; ${meant} is one`,
  )
}
