/** Requests by wrk, which costs a tenth of what a load generator in JavaScript does. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Started } from '../process/processes.ts'
import { makeDir, type World } from '../world/world.ts'

export interface WrkRun {
  readonly process: Started
  /** What came of it, once it has ended. */
  result(): Promise<WrkResult>
}
export type WrkResult = z.infer<typeof answer>

const answer = z.object({ completed: z.number(), failed: z.number(), wallMs: z.number() })
const SCRIPT = fileURLToPath(new URL('./wrk.lua', import.meta.url))

/**
 * One thread, pinned to no core.
 * @param request its bytes, which hold a credential: they travel in a file
 */
export async function startWrk(
  world: World,
  options: {
    readonly port: number
    readonly request: string
    readonly connections: number
    readonly seconds: number
  },
): Promise<WrkRun> {
  const { port, request, connections, seconds } = options
  const file = join(await makeDir(world, 'wrk'), `request-${port}`)
  await writeFile(file, request, { mode: 0o600 })
  const shape = ['-t', '1', '-c', `${connections}`, '-d', `${seconds}s`]
  const process = world.processes.start({
    name: 'wrk',
    command: 'wrk',
    args: [...shape, '-s', SCRIPT, `http://127.0.0.1:${port}`, '--', file],
    core: null,
  })
  return { process, result: () => lastWord(process) }
}

/** Before it come lines for people. */
async function lastWord(process: Started): Promise<WrkResult> {
  for (;;) {
    const line = await process.line()
    if (line.startsWith('{')) return answer.parse(JSON.parse(line))
  }
}
