/** Where the SDK says what it does. A pino logger fits as it is. */
import { inspect } from 'node:util'
import { printable, printableLines } from '@clawmesh/proto'

/** The log of an agent. A pino logger fits as it is. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

const nothing = () => {}

/** Says nothing. */
export const silentLog: Log = Object.freeze({
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
})

/** Warnings and errors as text on stderr, one line each and the stack of an error below it: the default of `createAgent`. */
export const stderrLog: Log = Object.freeze({
  debug: nothing,
  info: nothing,
  warn: (fields: object, message: string) => write('warning', fields, message),
  error: (fields: object, message: string) => write('error', fields, message),
})

function write(level: string, fields: object, message: string): void {
  const { err, ...rest }: Record<string, unknown> = { ...fields }
  const known = Object.entries(rest).filter(([, value]) => value !== undefined)
  const words = known.map(([name, value]) => ` ${name}=${wordOf(value)}`).join('')
  // biome-ignore lint/suspicious/noConsole: the console bears a stderr that is closed, and hosts collect what it says
  console.error(
    `clawmesh ${level}: ${printable(message)}${words}${err === undefined ? '' : stackOf(err)}`,
  )
}

/** A skill logs what it likes: circles and all. */
function wordOf(value: unknown): string {
  return printable(typeof value === 'string' ? value : inspect(value, { breakLength: Infinity }))
}

const MAX_CAUSES = 5

/** Stacks only: other properties of a library's errors may hold what was sent, and so a secret. */
function stackOf(error: unknown): string {
  const stacks: string[] = []
  for (let at = error; at !== undefined && stacks.length < MAX_CAUSES; ) {
    const text = at instanceof Error ? (at.stack ?? `${at.name}: ${at.message}`) : String(at)
    stacks.push(printableLines(text))
    at = at instanceof Error ? at.cause : undefined
  }
  return `\n${stacks.join('\ncaused by ')}`.replaceAll('\n', '\n  ')
}
