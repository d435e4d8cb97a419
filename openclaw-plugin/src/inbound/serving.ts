/** Serves agents of this OpenClaw as skills of the mesh. The tasks are in a file, so that a restart ends them as interrupted. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Agent,
  createSqliteTaskStore,
  type Serving as SdkServing,
  type SkillWithOptions,
  type TaskStore,
} from '@clawmesh/agent-sdk'
import type { PluginConfig, ServedSkill } from '../config/plugin-config.ts'
import type { Host } from '../host/host.ts'
import { createLanes } from './lanes.ts'
import { createTurnSkill } from './serve-turn.ts'
import type { Turns } from './turns.ts'

export interface Serving {
  readonly port: number
  close(): Promise<void>
}

export interface ServingOptions {
  readonly agent: Agent
  readonly config: PluginConfig
  readonly stateDir: string
  readonly turns: Turns
  settings(skill: string): ServedSkill | null
  host(signal: AbortSignal): Promise<Host>
}

/** What a change of it needs a new server for; the rest of the settings counts from the next task on. */
export function servedShape({ listen, serve }: PluginConfig): string {
  const skills = Object.entries(serve).map(([name, { description }]) => [name, description])
  return JSON.stringify([listen, skills.sort()])
}

/** @throws MeshError MESH_CONFIG_PORT, MESH_TASK_STORE_… */
export async function createServing(options: ServingOptions): Promise<Serving> {
  const { agent, config, stateDir } = options
  await mkdir(stateDir, { recursive: true, mode: 0o700 })
  const taskStore = createSqliteTaskStore({ file: join(stateDir, 'tasks.db') })
  try {
    const serving = await agent.serve({
      ...{ listen: config.listen, taskStore, skills: skillsOf(options) },
    })
    return { port: serving.address.port, close: () => closeBoth(serving, taskStore) }
  } catch (error) {
    await taskStore.close()
    throw error
  }
}

async function closeBoth(serving: SdkServing, taskStore: TaskStore): Promise<void> {
  await serving.close()
  await taskStore.close()
}

function skillsOf(options: ServingOptions): Readonly<Record<string, SkillWithOptions>> {
  const lanes = createLanes()
  const { turns, agent, host } = options
  return Object.fromEntries(
    Object.keys(options.config.serve).map((name) => [
      name,
      // never resumed: a turn that had begun may have acted already
      {
        resume: false,
        run: createTurnSkill({
          ...{ name, turns, lanes, host, ownTenant: agent.identity.tenant },
          settings: () => options.settings(name),
        }),
      },
    ]),
  )
}
