/** The log of a command that a person runs: warnings as lines of stderr, and the hint of what was refused for the end of the command. */
import type { Log } from '@clawmesh/agent-sdk'
import type { Terminal } from './terminal.ts'

export interface CommandLog extends Log {
  /** What the operator may do about the last refusal; null when there was none. */
  readonly hint: string | null
}

export function createCommandLog({ say }: Pick<Terminal, 'say'>): CommandLog {
  let last: string | null = null
  const warn = (fields: object, message: string) => {
    const hint: unknown = Reflect.get(fields, 'hint')
    // a refusal is told by its result
    if (typeof hint === 'string') last = hint
    else say(message)
  }
  return {
    get hint() {
      return last
    },
    debug: () => {},
    info: () => {},
    warn,
    error(fields, message) {
      const err: unknown = Reflect.get(fields, 'err')
      say(err instanceof Error ? `${message}: ${err.stack ?? err.message}` : message)
    },
  }
}
