/** What a stream costs in memory that is open and has nothing to say. */
import { setTimeout as sleep } from 'node:timers/promises'
import { GATEWAY } from '../contestants/contestant.ts'
import type { GrpcLoadQuestion } from '../load/grpc-load.ts'
import { residentBytes } from '../measure/cpu-time.ts'
import type { BenchOptions } from '../options.ts'
import { ask } from '../process/commands.ts'
import { asContestant, startOurs } from './arena.ts'
import { COLLECTED_MS, MOST_ROUNDS, settledMemory } from './idle-memory.ts'
import { heldAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import type { Stage } from './stage.ts'
import { metric, type SuiteResult } from './suite.ts'

const CONNECTIONS = 10
const STREAMS = 5000
const QUICK_STREAMS = 200
/** Opened, and ended again with their connections, before anything is counted: code is compiled, sessions are known. */
const WARM_STREAMS = 100

export async function runStreams(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { world, note, quick } = context
  const streams = quick ? QUICK_STREAMS : STREAMS
  const perStream: number[] = []
  const atOnce: number[] = []
  const before: number[] = []
  const after: number[] = []
  note('streams: starting')
  const stage = await context.stage()
  // a gateway that has had streams keeps some of their memory, so each round has one of its own
  for (let round = 0; round < Math.min(options.rounds, MOST_ROUNDS); round++) {
    const gateway = await startOurs(world, stage)
    const ours = asContestant(gateway)
    const resident = () => residentBytes(gateway.process.pid) ?? Number.NaN
    const settle = () => settledMemory(resident, quick)
    await stage.connect(ours, 1)
    await hold(stage, WARM_STREAMS)
    await stage.disconnect(GATEWAY)
    await stage.connect(ours, CONNECTIONS)
    const empty = await settle()
    note(`streams: opening ${streams}, round ${round + 1}`)
    await hold(stage, streams)
    atOnce.push((resident() - empty) / streams / 1e3)
    if (!quick) await sleep(COLLECTED_MS)
    const full = await settle()
    before.push(empty / 1e6)
    after.push(full / 1e6)
    perStream.push((full - empty) / streams / 1e3)
    await stage.disconnect(GATEWAY)
    await ours.stop()
  }
  const ofOurs = (name: string, unit: string, figures: readonly number[]) =>
    metric(name, unit, { [GATEWAY]: figures })
  return {
    title: 'Idle streams',
    how: `${streams} server-streaming calls over ${CONNECTIONS} connections, each answered with one message of 64 bytes and then left open, both hops counted as one stream. Resident memory of the gateway's process, a new one in each of up to ${MOST_ROUNDS} rounds, once it has been quiet for ${COLLECTED_MS / 1000} s and its memory has stopped moving; when all have just been opened, what opening them left behind is not collected yet.`,
    metrics: [
      ofOurs('resident memory per stream', 'kB', perStream),
      ofOurs('the same when all have just been opened', 'kB', atOnce),
      ofOurs('resident memory with the connections only', 'MB', before),
      ofOurs('resident memory with all streams', 'MB', after),
    ],
    remarks: [],
  }
}

async function hold({ load }: Stage, count: number): Promise<void> {
  const question: GrpcLoadQuestion = { do: 'hold', target: GATEWAY, count }
  await ask(load, question, heldAnswer)
}
