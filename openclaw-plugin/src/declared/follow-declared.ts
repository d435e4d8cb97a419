/**
 * Keeps what is declared up to date: by the configuration, and by the SKILL.md files of this OpenClaw, which are looked at again
 * before anything is refused, and from time to time. A change is told once.
 */
import type { PluginConfig } from '../config/plugin-config.ts'
import {
  BY_CONFIGURATION,
  type Declaration,
  type Declared,
  gatherDeclared,
} from './declarations.ts'
import type { OwnNames } from './names.ts'
import { readSkillFiles } from './read-skill-files.ts'

export interface Declarations {
  current(): Declared
  /** Reads the files again, unless that was done less than `SETTLED_MS` ago. */
  refresh(): Promise<Declared>
  close(): void
}

export interface DeclarationsOptions {
  readonly config: Pick<PluginConfig, 'peers' | 'hosts'>
  readonly own: OwnNames
  readonly skillFolders: readonly string[]
  readonly read: Parameters<typeof readSkillFiles>[1]
  /** Called with what is declared, and the faults in files, at first and when it has changed. */
  onChange(declared: Declared, faults: readonly string[]): void
  /** Milliseconds. Default 30,000. */
  readonly everyMs?: number
  /** Milliseconds of a clock that only goes forward. Default performance.now. */
  readonly now?: () => number
}

const SETTLED_MS = 1_000

export function createDeclarations(options: DeclarationsOptions): Declarations {
  const { config, own, now = () => performance.now() } = options
  const configured: Declaration = {
    ...{ by: BY_CONFIGURATION, peers: config.peers, hosts: config.hosts ?? [] },
  }
  let declared = gatherDeclared([configured], own)
  let told = ''
  let readAtMs = Number.NEGATIVE_INFINITY
  let reading: Promise<Declared> | null = null
  let closed = false
  const read = async (): Promise<Declared> => {
    const found = await readSkillFiles(options.skillFolders, options.read)
    readAtMs = now()
    declared = gatherDeclared([configured, ...found.declarations], own)
    const shape = JSON.stringify([[...declared.peers], [...declared.hosts], found.faults])
    if (shape !== told && !closed) options.onChange(declared, found.faults)
    told = shape
    return declared
  }
  const refresh = () => {
    if (reading !== null) return reading
    if (now() - readAtMs < SETTLED_MS) return Promise.resolve(declared)
    reading = read().finally(() => {
      reading = null
    })
    return reading
  }
  const timer = setInterval(() => void refresh(), options.everyMs ?? 30_000)
  timer.unref()
  void refresh()
  return {
    current: () => declared,
    refresh,
    close() {
      closed = true
      clearInterval(timer)
    },
  }
}
