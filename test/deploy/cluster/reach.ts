/** Which places answer, tried by connections from inside of a pod or from outside. */
import type { Cluster } from './cluster.ts'
import { nodeIn, type PodPlace } from './pods.ts'

export interface Target {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** A packet that is dropped gets no answer: what has not connected by then is closed. */
const WITHIN_MS = 3_000

/** Prints the names of the targets that were connected to. */
export const TRY = `import { connect } from 'node:net'
const targets = JSON.parse(process.argv[1])
const reached = await Promise.all(targets.map(({ name, host, port }) => new Promise((resolve) => {
  const socket = connect({ host, port })
  const end = (open) => { socket.destroy(); resolve(open ? [name] : []) }
  socket.setTimeout(${WITHIN_MS}, () => end(false))
  socket.on('connect', () => end(true)).on('error', () => end(false))
})))
console.log(JSON.stringify(reached.flat()))`

/** The names of those that it reached. */
export async function reachFrom(
  cluster: Pick<Cluster, 'kubectl'>,
  pod: PodPlace,
  targets: readonly Target[],
): Promise<readonly string[]> {
  return reachedBy(await nodeIn(cluster, pod, TRY, JSON.stringify(targets)))
}

/** @param printed by TRY */
export function reachedBy(printed: string): readonly string[] {
  const reached: unknown = JSON.parse(printed)
  if (!Array.isArray(reached)) throw new TypeError(`no list: ${printed}`)
  return reached.map(String)
}
