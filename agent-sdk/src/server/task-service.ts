/** The services of an agent that serves skills, before anything listens: its tasks, the calls about them, and health. */
import type { SpiffeTemplate } from '@clawmesh/proto'
import type { Log } from '../log.ts'
import { createMemoryTaskStore } from '../tasks/memory-task-store.ts'
import { createServedSkills } from '../tasks/served-skills.ts'
import { createTaskHost, type TaskHost, type TaskHostOptions } from '../tasks/task-host.ts'
import { createDelegationService, type Service } from './delegation-service.ts'
import { createHealthService, type HealthService } from './health-service.ts'
import type { ServeOptions } from './serve-options.ts'

export interface TaskServiceContext {
  readonly spiffe: SpiffeTemplate
  readonly log: Log
  readonly now: () => number
  readonly outward: TaskHostOptions['outward']
  readonly followTree: TaskHostOptions['followTree']
}

export interface TaskService {
  readonly tasks: TaskHost
  readonly delegations: Service
  readonly health: HealthService
  /** How long `close` lets running tasks go on, in milliseconds. */
  readonly drainMs: number
  /** Closes the task store, unless it was given. */
  close(): void
}

/** @param listed full names of the services that health knows. @throws TypeError for skills that cannot be served */
export function createTaskService(
  options: ServeOptions,
  { spiffe, log, now, outward, followTree }: TaskServiceContext,
  listed: readonly string[],
): TaskService {
  const { heartbeatMs = 15_000, orphanGraceMs = 30_000 } = options
  const { drainMs = 10_000, inputTimeoutMs = 3_600_000 } = options
  const skills = createServedSkills(options.skills, log)
  const health = createHealthService(listed)
  const store = options.taskStore ?? createMemoryTaskStore({ now })
  const tasks = createTaskHost({
    ...{ skills, store, log, orphanGraceMs, inputTimeoutMs, now, outward, followTree },
    running: {
      maxRunning: options.maxRunning ?? 100,
      maxRunningPerTenant: options.maxRunningPerTenant ?? null,
      maxRunningPerCaller: options.maxRunningPerCaller ?? null,
    },
    storeStays: options.taskStore !== undefined,
    onServing: health.setServing,
    identify(id) {
      const known = spiffe.parse(id)
      return known?.kind === 'agent' ? known : null
    },
  })
  return {
    tasks,
    delegations: createDelegationService({ host: tasks, spiffe, heartbeatMs, log, now }),
    health,
    drainMs,
    close() {
      if (options.taskStore === undefined) store.close()
    },
  }
}
