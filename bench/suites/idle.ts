/** What a gateway costs that has nothing to do: time to start, memory, CPU. */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type BenchContext, GATEWAY } from '../contestants/contestant.ts'
import { startGateway } from '../contestants/gateway.ts'
import { cpuNanoseconds, residentBytes } from '../measure/cpu-time.ts'
import type { BenchOptions } from '../options.ts'
import { hear } from '../process/commands.ts'
import { portAnswer } from './load-answers.ts'
import type { SuiteResult } from './suite.ts'

const RESIDENT_LIMIT_MB = 128
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
  const start: number[] = []
  const resident: number[] = []
  const cpu: number[] = []
  for (let round = 0; round < Math.min(options.rounds, 5); round++) {
    note(`idle: start ${round + 1}`)
    const gateway = await startGateway(world, { nameServerPort, destination: null })
    const { pid } = gateway.process
    const before = cpuNanoseconds([pid])
    await sleep(settleMs)
    start.push(gateway.startMs)
    cpu.push((cpuNanoseconds([pid]) - before) / 1e6 / (settleMs / 1000))
    resident.push((residentBytes(pid) ?? Number.NaN) / 1e6)
    await gateway.process.stop()
  }
  await names.stop()
  const ours = (figures: readonly number[]) => ({ [GATEWAY]: figures })
  return {
    title: 'Idle',
    how: `Started from the checkout, then left alone for ${settleMs / 1000} s.`,
    metrics: [
      { name: 'start until ready', unit: 'ms', figures: ours(start), targets: [], limit: null },
      {
        name: 'resident memory',
        unit: 'MB',
        figures: ours(resident),
        targets: [],
        limit: RESIDENT_LIMIT_MB,
      },
      { name: 'CPU while idle', unit: 'ms/s', figures: ours(cpu), targets: [], limit: null },
    ],
    remarks: [],
  }
}
