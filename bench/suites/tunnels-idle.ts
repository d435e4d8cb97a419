/** What a tunnel costs in memory that is open and has nothing to say. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contestant } from '../contestants/contestant.ts'
import type { EgressLoadQuestion } from '../load/egress-load.ts'
import { residentBytes } from '../measure/cpu-time.ts'
import { mostOpenFiles } from '../measure/open-files.ts'
import type { BenchOptions } from '../options.ts'
import { ask } from '../process/commands.ts'
import { type EgressArena, openEgressArena } from './egress-arena.ts'
import { COLLECTED_MS, MOST_ROUNDS, settledMemory } from './idle-memory.ts'
import { heldAnswer } from './load-answers.ts'
import type { BenchContext } from './run-suite.ts'
import { mapFigures, metric, type SuiteResult } from './suite.ts'

const TUNNELS = 5000
const QUICK_TUNNELS = 200
/** Opened and ended again before anything is counted: code is compiled, pools have their first pages. */
const WARM_TUNNELS = 100
/** Descriptors of a process beside those of tunnels. */
const SPARE_FILES = 500

/** Bytes. */
interface Memory {
  readonly before: number
  readonly atOnce: number
  readonly after: number
}

export async function runTunnelsIdle(
  context: BenchContext,
  options: BenchOptions,
): Promise<SuiteResult> {
  const { note, quick } = context
  const wanted = quick ? QUICK_TUNNELS : TUNNELS
  const memory: Record<string, Memory[]> = {}
  const remarks: string[] = []
  let tunnels = wanted
  // what has had tunnels keeps some of their memory, so each round has processes of its own
  for (let round = 0; round < Math.min(options.rounds, MOST_ROUNDS); round++) {
    note(`tunnels-idle: starting the contestants, round ${round + 1}`)
    const arena = await openEgressArena(context, {
      kind: 'tunnel',
      connections: 0,
      tunnels: wanted,
      direct: false,
    })
    if (round === 0) remarks.push(...arena.skipped)
    tunnels = Math.min(wanted, mostTunnels(arena.contestants.length))
    note(`tunnels-idle: ${tunnels} through each`)
    const lost = await measureOnce(arena, tunnels, quick, memory)
    remarks.push(...lost)
    await arena.close()
  }
  if (tunnels < wanted)
    remarks.push(`${tunnels} tunnels only: no more descriptors are allowed to a process here`)

  const each = (name: string, unit: string, of: (one: Memory) => number) =>
    metric(name, unit, mapFigures(memory, of))
  return {
    title: 'Idle tunnels',
    how: `${tunnels} tunnels through each by CONNECT, with a ClientHello and then as many bytes in two flights as a TLS handshake has, left open by load generator and origin. Resident memory of the process in between, a new one in each of up to ${MOST_ROUNDS} rounds, once it has been quiet for ${COLLECTED_MS / 1000} s and its memory has stopped moving; before that, ${WARM_TUNNELS} tunnels came and went. The kernel's own memory for sockets is in none of these figures.`,
    metrics: [
      each('resident memory per tunnel', 'kB', (one) => (one.after - one.before) / tunnels / 1e3),
      each('the same when all have just been opened', 'kB', (one) => {
        return (one.atOnce - one.before) / tunnels / 1e3
      }),
      each('resident memory without tunnels', 'MB', ({ before }) => before / 1e6),
      each('resident memory with all tunnels', 'MB', ({ after }) => after / 1e6),
    ],
    remarks,
  }
}

/** They are held through all contestants at once, by one process, and each contestant has two ends of each. */
function mostTunnels(contestants: number): number {
  return Math.floor((mostOpenFiles() - SPARE_FILES) / Math.max(2, contestants))
}

/** Adds to `memory`, and tells which tunnels were lost meanwhile. */
async function measureOnce(
  { contestants, load }: EgressArena,
  tunnels: number,
  quick: boolean,
  memory: Record<string, Memory[]>,
): Promise<string[]> {
  const command = async (question: EgressLoadQuestion) =>
    (await ask(load, question, heldAnswer)).held
  const resident = (one: Contestant) =>
    one.pids().reduce((sum, pid) => sum + (residentBytes(pid) ?? Number.NaN), 0)
  const settle = (one: Contestant) => settledMemory(() => resident(one), quick)

  for (const { name } of contestants) {
    await command({ do: 'hold', target: name, count: WARM_TUNNELS })
    await command({ do: 'release', target: name })
  }
  const before = await Promise.all(contestants.map(settle))
  const atOnce: number[] = []
  for (const one of contestants) {
    await command({ do: 'hold', target: one.name, count: tunnels })
    atOnce.push(resident(one))
  }
  if (!quick) await sleep(COLLECTED_MS)
  const after = await Promise.all(contestants.map(settle))
  const lost: string[] = []
  for (const [index, { name }] of contestants.entries()) {
    const gone = tunnels - (await command({ do: 'release', target: name }))
    if (gone > 0) lost.push(`${gone} of ${tunnels} tunnels through ${name} did not stay open`)
    const all = memory[name] ?? []
    memory[name] = [
      ...all,
      {
        before: before[index] ?? Number.NaN,
        atOnce: atOnce[index] ?? Number.NaN,
        after: after[index] ?? Number.NaN,
      },
    ]
  }
  return lost
}
