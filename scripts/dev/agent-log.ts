/** What an agent of the development mesh has to say: a line on stderr, which its parent keeps in `.clawmesh/logs/`. */
import { inspect } from 'node:util'
import type { Log } from '@clawmesh/agent-sdk'

export function createAgentLog(stream: NodeJS.WritableStream): Log {
  const say = (level: string) => (fields: object, message: string) => {
    const time = new Date().toISOString()
    stream.write(`${JSON.stringify({ level, time, msg: message, ...fields }, spellOut)}\n`)
  }
  return { debug: () => {}, info: say('info'), warn: say('warn'), error: say('error') }
}

/** Errors have nothing that JSON would show; what caused them is part of it. */
function spellOut(_key: string, value: unknown): unknown {
  if (value instanceof Error) return inspect(value)
  return typeof value === 'bigint' ? String(value) : value
}
