/** What a gateway costs that has nothing to do: time to start, memory, CPU. */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { installPublished } from '../../scripts/dev/install-published.ts'
import { GATEWAY } from '../contestants/contestant.ts'
import { GATEWAY_COMMAND, startGateway } from '../contestants/gateway.ts'
import { cpuNanoseconds, residentBytes } from '../measure/cpu-time.ts'
import type { BenchOptions } from '../options.ts'
import { hear } from '../process/commands.ts'
import { makeDir } from '../world/world.ts'
import { portAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { metric, type SuiteResult } from './suite.ts'

type Figures = Record<string, number[]>

const RESIDENT_LIMIT_MB = 128
const FROM_CHECKOUT = 'from the checkout'
const NAME_SERVER = fileURLToPath(new URL('../backends/name-server.ts', import.meta.url))

export async function runIdle(context: BenchContext, options: BenchOptions): Promise<SuiteResult> {
  const { world, note } = context
  const settleMs = options.quick ? 200 : 3000
  const names = world.processes.start({
    name: 'name server',
    command: process.execPath,
    args: [NAME_SERVER],
    core: world.cores.rest,
  })
  const nameServerPort = (await hear(names, portAnswer)).port
  note('idle: building and installing what is published')
  const installed = await installPublished(await makeDir(world, 'published'))
  const commands: Readonly<Record<string, string>> = {
    [GATEWAY]: join(installed, 'node_modules/@clawmesh/gateway/src/cli/main.js'),
    [FROM_CHECKOUT]: GATEWAY_COMMAND,
  }
  const start: Figures = { [GATEWAY]: [], [FROM_CHECKOUT]: [] }
  const resident: Figures = { [GATEWAY]: [], [FROM_CHECKOUT]: [] }
  const cpu: Figures = { [GATEWAY]: [], [FROM_CHECKOUT]: [] }
  for (let round = 0; round < Math.min(options.rounds, 5); round++) {
    note(`idle: start ${round + 1}`)
    for (const [name, command] of Object.entries(commands)) {
      const gateway = await startGateway(world, { nameServerPort, destination: null, command })
      const { pid } = gateway.process
      const before = cpuNanoseconds([pid])
      await sleep(settleMs)
      start[name]?.push(gateway.startMs)
      cpu[name]?.push((cpuNanoseconds([pid]) - before) / 1e6 / (settleMs / 1000))
      resident[name]?.push((residentBytes(pid) ?? Number.NaN) / 1e6)
      await gateway.process.stop()
    }
  }
  await names.stop()
  return {
    title: 'Idle',
    how: `Started as it is published, or from the checkout, where Node strips the types first; then left alone for ${settleMs / 1000} s.`,
    metrics: [
      metric('start until ready', 'ms', start),
      metric('resident memory', 'MB', resident, { limit: RESIDENT_LIMIT_MB }),
      metric('CPU while idle', 'ms/s', cpu),
    ],
    remarks: [],
  }
}
