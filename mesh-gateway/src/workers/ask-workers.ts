/** Asks all workers what the admin port is asked, and adds what the supervisor itself knows: the limits that it counts. */
import type { Answer, Asking, FactsSource, Heard, Kind, Question } from '../admin/api/facts.ts'
import type { LocalCounting } from '../limits/open-limits.ts'
import type { KeptWorker } from './keep-workers.ts'

/** How long a worker may take to answer, in milliseconds. A replay parses and compiles files. */
const ANSWER_MS = 2_000
const REPLAY_MS = 60_000
const MAX_LIMITS = 500

export function factsOfWorkers(
  running: () => readonly KeptWorker[],
  { usage }: Pick<LocalCounting, 'usage'>,
): FactsSource {
  async function ask<K extends Kind>(what: K, asked: Question[K]): Promise<Heard<K>> {
    const withinMs = what === 'replay' ? REPLAY_MS : ANSWER_MS
    const ready = running().flatMap(({ link, state }) =>
      link === null || state !== 'ready' ? [] : [link],
    )
    const all = await Promise.all(ready.map((link) => link.ask(asking(what, asked), withinMs)))
    // a worker answers what it was asked: the same program has written the answer
    const told = all.filter((one) => one !== null) as Answer[K][]
    const answers = what === 'limits' && told.length > 0 ? [...told, counted() as Answer[K]] : told
    return { answers, silent: ready.length - told.length }
  }
  const counted = (): Answer['limits'] => ({ counted_in: 'supervisor', uses: usage(MAX_LIMITS) })
  return {
    ask,
    workers: () =>
      running().map(({ index, state, link }) => ({ worker: index, state, pid: link?.pid ?? null })),
  }
}

function asking<K extends Kind>(what: K, asked: Question[K]): Asking {
  return { what, asked } as Asking
}
