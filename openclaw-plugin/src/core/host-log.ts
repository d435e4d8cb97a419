/** The log of the SDK, as sentences for OpenClaw's. The logger is that of the copy which runs now. */
import { plainLineOf } from '@clawmesh/agent/tools'
import type { Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/agent-sdk'
import type { HostLog } from '../host/host.ts'

/** A peer may have written parts of it. */
const MAX_LENGTH = 2_000

/** @param target null while the plugin is being reloaded: then nothing is said */
export function hostLog(target: () => HostLog | null): Log {
  const say = (level: keyof HostLog) => (fields: object, message: string) =>
    target()?.[level](
      plainLineOf(`clawmesh: ${message.slice(0, MAX_LENGTH)}${inWords(fields)}`, MAX_LENGTH * 2),
    )
  return { debug: () => {}, info: say('info'), warn: say('warn'), error: say('error') }
}

/** ` (code MESH_…: why; hint: …; id=…)`. No stack: that is many lines. */
function inWords(fields: object): string {
  const words = Object.entries(fields).map(([name, value]: [string, unknown]) => {
    if (value instanceof MeshError)
      return `${value.code}: ${value.message}${value.hint === '' ? '' : `; ${value.hint}`}`
    if (value instanceof Error) return value.message
    return `${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value)}`
  })
  return words.length === 0 ? '' : ` (${words.join(', ').slice(0, 1_000)})`
}
