/** The log of the SDK, as sentences for OpenClaw's. The logger is that of the copy which runs now. */
import type { Log } from '@clawmesh/agent-sdk'
import { MeshError } from '@clawmesh/agent-sdk'
import type { HostLog } from '../host/host.ts'

/** @param target null while the plugin is being reloaded: then nothing is said */
export function hostLog(target: () => HostLog | null): Log {
  const say = (level: keyof HostLog) => (fields: object, message: string) =>
    target()?.[level](`clawmesh: ${message}${inWords(fields)}`)
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
