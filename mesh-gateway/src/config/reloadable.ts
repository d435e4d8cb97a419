/** Follows the files of one directory. The revocation lists alone still come this way; everything else asks files/follow.ts. */
import type { Log } from '@clawmesh/agent-sdk'
import type { Followed, Found } from '@clawmesh/agent-sdk/mesh'
import { follow } from '../files/follow.ts'
import type { Metrics, Reloadable as ReloadableName } from '../telemetry/metrics-port.ts'

export type { Found } from '@clawmesh/agent-sdk/mesh'

export interface ReloadableOptions<T> {
  readonly what: ReloadableName
  /** The directory that holds the files. */
  readonly dir: string
  read(): Promise<Found<T>>
  readonly log: Log
  readonly metrics: Pick<Metrics, 'reload'>
  /** Default 10,000 milliseconds. */
  readonly pollMs?: number
  /** Quiet time after a change before it is read, in milliseconds. Default 150. */
  readonly debounceMs?: number
}

export type Reloadable<T> = Followed<T>

/** @throws what `read` or `parse` throws the first time: there is no last good one yet. */
export async function openReloadable<T>(options: ReloadableOptions<T>): Promise<Reloadable<T>> {
  return follow({ ...options, files: [], directories: [options.dir] })
}
