/** What `serve` takes. */
import type { loadProto } from '@clawmesh/proto/wire'
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { checkOptions, optionNames } from '../check-options.ts'
import type { TaskStore } from '../model/task-store.ts'
import { SKILL_OPTIONS, type Skill, type SkillWithOptions } from '../tasks/skill.ts'
import { isSkillName } from '../wire/request-codec.ts'
import type { AcceptFrom } from './caller-gate.ts'

/** A gRPC service that an agent serves beside its skills. */
export interface AdditionalService {
  /** As @grpc/proto-loader or a generator makes it. */
  readonly service: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** The package that `loadSync` gave, so that reflection can describe it. Default: reflection does not know it. */
  readonly definition?: ReturnType<typeof loadProto>
}

/**
 * Options of `agent.serve`. `skills` is required.
 *
 * @example
 * import { createSqliteTaskStore } from '@clawmesh/agent-sdk'
 *
 * const serving = await agent.serve({
 *   listen: '0.0.0.0:7443',
 *   skills: { echo: (task) => task.text(), count: { run: (task) => task.text().length, resume: true } },
 *   taskStore: createSqliteTaskStore({ file: '/var/lib/agent/tasks.db' }),
 * })
 * console.log(serving.address.port)
 * await serving.close()
 */
export interface ServeOptions {
  /** By name: letters, digits and `._/-`, 128 characters at most. */
  readonly skills: Readonly<Record<string, Skill | SkillWithOptions>>
  /** host:port, port 0 takes a free one. Default 127.0.0.1:7443. */
  readonly listen?: string
  /** Who may call. Default `'gateway'`: only what the gateway has let through. */
  readonly acceptFrom?: AcceptFrom
  /** gRPC services of your own beside the skills. The caller is in metadata `x-mesh-caller`. */
  readonly additionalServices?: readonly AdditionalService[]
  /**
   * Where tasks are kept. Default: `createMemoryTaskStore()`. With `createSqliteTaskStore` they survive the process. A store
   * given is not closed with the server, and belongs to one server at a time.
   */
  readonly taskStore?: TaskStore
  /** Tasks that may run at once. Default 100. */
  readonly maxRunning?: number
  /** Of the callers of one tenant. Default: three quarters of what other tenants leave, alone 75 of 100. */
  readonly maxRunningPerTenant?: number
  /** Of one caller. Default: two thirds of what other callers leave of its tenant's share, alone 50 of 100. */
  readonly maxRunningPerCaller?: number
  /**
   * How long a task waits for the answer to a question, in milliseconds, restarts included. Then it fails with
   * MESH_TASK_INPUT_EXPIRED. Default 3,600,000.
   */
  readonly inputTimeoutMs?: number
  /** A sign of life on a quiet stream, in milliseconds. Default 15,000. */
  readonly heartbeatMs?: number
  /** How long a task that is not detached goes on without its caller, in milliseconds. Default 30,000. */
  readonly orphanGraceMs?: number
  /** How long close() lets running tasks go on, in milliseconds. Default 10,000. */
  readonly drainMs?: number
}

const NAMES = optionNames<ServeOptions>({
  skills: true,
  listen: true,
  acceptFrom: true,
  additionalServices: true,
  taskStore: true,
  maxRunning: true,
  maxRunningPerTenant: true,
  maxRunningPerCaller: true,
  inputTimeoutMs: true,
  heartbeatMs: true,
  orphanGraceMs: true,
  drainMs: true,
})

/** @throws TypeError for an option that there is not, and for skills that are none */
export function checkServeOptions(options: ServeOptions): void {
  checkOptions(options, NAMES, 'serve')
  if (typeof options.skills !== 'object' || options.skills === null)
    throw new TypeError('skills: must be an object of functions')
  for (const [name, skill] of Object.entries(options.skills)) {
    if (typeof skill === 'object' && skill !== null)
      checkOptions(skill, SKILL_OPTIONS, 'serve', `skills.${name}`)
    const run = typeof skill === 'function' ? skill : skill?.run
    if (!isSkillName(name))
      throw new TypeError(
        `skills: ${JSON.stringify(name)} is no name: letters, digits, and . _ / - within`,
      )
    if (typeof run !== 'function')
      throw new TypeError(`skills.${name}: must be a function, or an object with run`)
  }
}
