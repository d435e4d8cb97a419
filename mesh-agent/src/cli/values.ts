/** Parses values of options as they are read: a wrong value is wrong usage. */
import { parseFlagDuration } from '@clawmesh/proto'
import { InvalidArgumentError } from 'commander'

/** `0s`, `90s`, `30m`, `24h`, as milliseconds. */
export function parseDuration(text: string): number {
  const ms = parseFlagDuration(text)
  if (ms !== null) return Math.min(ms, MAX_MS)
  throw new InvalidArgumentError('write it like 90s, 30m or 24h.')
}

/** The longest that a timer of Node waits. */
export const MAX_MS = 2 ** 31 - 1

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/

/** `127.0.0.1:7777`: this machine alone, for what is spoken there is not encrypted. */
export function parseLoopback(text: string): { readonly host: string; readonly port: number } {
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  if (!LOOPBACK.test(host) || Number(port) > 65_535)
    throw new InvalidArgumentError('it must be a loopback address and a port, e.g. 127.0.0.1:7777.')
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

export function parseCount(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (count > 0) return count
  throw new InvalidArgumentError('it must be a whole number above 0.')
}

export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    throw new InvalidArgumentError('it is not JSON.')
  }
}

/** For an option that may be repeated. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}
