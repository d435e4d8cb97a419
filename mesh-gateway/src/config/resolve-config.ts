/**
 * Resolves the configuration from a file, the environment and flags, in rising precedence. Pure but for the text given.
 * Finds all faults at once, each with its key and source.
 */
import { dirname, resolve } from 'node:path'
import { MeshError, nearest } from '@clawmesh/proto'
import type { z } from 'zod'
import { formatListenAddress } from '../net/listen-address.ts'
import { issueInWords, valueAt } from '../policy/read/issue-in-words.ts'
import { positionAt, readStrictJson } from '../policy/read/strict-json.ts'
import { NO_NODE_PATCHES } from '../process/node-internals/switch.ts'
import { withAbsoluteFiles } from './external-issuers.ts'
import { isObject, setKey, valueOfKey } from './object-path.ts'
import { type Config, completeConfig, configSchema } from './schema.ts'
import type { Setting } from './setting.ts'
import { FILE_SETTINGS, SETTINGS, settingOf } from './settings.ts'
import { staticPeerFaults } from './static-peers.ts'

export interface ConfigSources {
  /** Null: no file. */
  readonly file: { readonly path: string; readonly bytes: Uint8Array } | null
  readonly env: Readonly<Record<string, string | undefined>>
  /** By name of the flag, without dashes. */
  readonly flags: Readonly<Record<string, string | undefined>>
  /** The base of relative paths in environment and flags. */
  readonly cwd: string
  /** Required keys that this command does not need. */
  readonly optional?: readonly string[]
}

export interface ConfigFault {
  /** Dotted; null for the file as a whole. */
  readonly key: string | null
  /** Path of the file, name of the variable, or the flag; null when the key is absent. */
  readonly source: string | null
  readonly message: string
}

export interface ResolvedConfig {
  readonly config: Config
  /** Messages that stop nothing. */
  readonly warnings: readonly string[]
}

/** The value of a required setting that a command does not need. */
export const UNUSED = 'unused'

/** Variables of other tools of the mesh, and those that Kubernetes sets for a Service called mesh-something. */
const FOREIGN =
  /^MESH_(?:PKI|DEV|TEST|BENCH|AGENT)_|_SERVICE_(?:HOST|PORT)|_PORT(?:_\d+_(?:TCP|UDP).*)?$/

/** Names every fault. */
export class ConfigInvalid extends MeshError {
  readonly faults: readonly ConfigFault[]

  /** @param named whether there is a file */
  constructor(faults: readonly ConfigFault[], named: boolean) {
    const count = faults.length === 1 ? '1 fault' : `${faults.length} faults`
    const file = named ? '' : 'no file was named, by --config or MESH_CONFIG; '
    super('MESH_CONFIG_INVALID', `${count} in the configuration${linesOf(faults)}`, {
      hint: `${file}\`mesh-gateway start --help\` lists every setting`,
    })
    this.faults = faults
  }
}

const ISSUERS = 'tokens.issuers'

/** @throws ConfigInvalid */
export function resolveConfig(sources: ConfigSources): ResolvedConfig {
  const faults: ConfigFault[] = []
  const warnings: string[] = []
  const whole = readFileValue(sources, faults)
  const raw = whole ?? {}
  const origin = new Map<string, string>()
  for (const setting of SETTINGS) {
    const fromFile = valueOfKey(raw, setting.key)
    if (fromFile !== undefined && sources.file !== null) {
      origin.set(setting.key, sources.file.path)
      if (setting.path && typeof fromFile === 'string')
        setKey(
          raw,
          setting.key,
          absolute(fromFile, dirname(resolve(sources.cwd, sources.file.path))),
        )
    }
    const [text, source] = override(setting, sources)
    if (text === undefined) continue
    setKey(raw, setting.key, setting.path ? absolute(text, sources.cwd) : text)
    origin.set(setting.key, source)
  }
  const issuers = valueOfKey(raw, ISSUERS)
  if (issuers !== undefined && sources.file !== null)
    setKey(
      raw,
      ISSUERS,
      withAbsoluteFiles(issuers, dirname(resolve(sources.cwd, sources.file.path))),
    )
  judgeEnvironment(sources, faults, warnings)
  for (const key of sources.optional ?? [])
    if (valueOfKey(raw, key) === undefined) setKey(raw, key, UNUSED)

  const result = configSchema.safeParse(raw)
  if (!result.success)
    for (const issue of result.error.issues) {
      const found = toFaults(issue, raw, origin, sources)
      // values of an unreadable file are unknown, so missing ones are no faults
      faults.push(...(whole === null ? found.filter(({ source }) => source !== null) : found))
    }
  else judgeTogether(completeConfig(result.data), origin, sources.file?.path ?? null, faults)
  if (faults.length > 0 || !result.success) throw new ConfigInvalid(faults, sources.file !== null)
  return { config: completeConfig(result.data), warnings }
}

function linesOf(faults: readonly ConfigFault[]): string {
  const lines = faults.slice(0, 50).map(({ key, source, message }) => {
    const from = source === null ? '' : ` (${source})`
    return `\n  ${key === null ? (source ?? 'configuration') : `${key}${from}`}: ${message}`
  })
  return lines.join('')
}

/** Null: it contains no JSON object. */
function readFileValue(
  { file }: ConfigSources,
  faults: ConfigFault[],
): Record<string, unknown> | null {
  if (file === null) return {}
  const document = readStrictJson(file.bytes)
  for (const { offset, message } of document.faults) {
    const { line, column } = positionAt(document.text, offset)
    faults.push({ key: null, source: `${file.path}:${line}:${column}`, message })
  }
  if (isObject(document.value)) return document.value
  if (document.faults.length === 0)
    faults.push({ key: null, source: file.path, message: 'must hold one JSON object' })
  return null
}

/** What a flag or a variable says of a setting, and which; undefined: neither. */
export function override(
  setting: Setting,
  { env, flags }: Pick<ConfigSources, 'env' | 'flags'>,
): [string | undefined, string] {
  const flag = flags[setting.flag]
  if (flag !== undefined) return [flag, `--${setting.flag}`]
  // shells and compose files leave a variable empty to omit it
  return [env[setting.env] || undefined, setting.env]
}

function judgeEnvironment({ env }: ConfigSources, faults: ConfigFault[], warnings: string[]): void {
  const known = [...SETTINGS.map((setting) => setting.env), 'MESH_CONFIG', NO_NODE_PATCHES]
  for (const name of Object.keys(env)) {
    if (!name.startsWith('MESH_') || known.includes(name) || FOREIGN.test(name)) continue
    const meant = nearest(name, known)
    if (meant === null) warnings.push(`${name} is no setting of the gateway and is not used`)
    else
      faults.push({ key: null, source: name, message: `no such variable; did you mean ${meant}` })
  }
}

function toFaults(
  issue: z.core.$ZodIssue,
  raw: Record<string, unknown>,
  origin: ReadonlyMap<string, string>,
  sources: ConfigSources,
): ConfigFault[] {
  const file = sources.file?.path ?? null
  const path = issue.path.map(String)
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((name) => {
      const key = [...path, name].join('.')
      const prefix = path.length === 0 ? '' : `${path.join('.')}.`
      const siblings = knownKeys(path)
        .filter((one) => one.startsWith(prefix))
        .map((one) => one.slice(prefix.length).split('.')[0] ?? '')
      const meant = nearest(name, new Set(siblings)) ?? elsewhere(name)
      const message = `unknown key${meant === null ? '' : `; did you mean ${meant}`}`
      return { key: key.slice(0, 200), source: file, message }
    })
  const key = path.join('.')
  const setting = [...path.keys()]
    .map((length) => settingOf(path.slice(0, length + 1).join('.')))
    .find((one) => one !== undefined)
  if (setting !== undefined && valueOfKey(raw, setting.key) === undefined)
    return [
      {
        key,
        source: null,
        message: `missing; set it in the file, by ${setting.env} or by --${setting.flag}`,
      },
    ]
  return [
    {
      key,
      source: setting === undefined ? file : (origin.get(setting.key) ?? null),
      message: issueInWords(issue, valueAt(raw, issue.path)),
    },
  ]
}

/** The valid keys at a path into an entry of a list. */
function knownKeys(path: readonly string[]): string[] {
  const entries = FILE_SETTINGS.flatMap(({ key, entry }) => {
    const at = path[key.split('.').length]
    return at === undefined ? [] : entry.map((one) => `${key}.${at}.${one}`)
  })
  return [...[...SETTINGS, ...FILE_SETTINGS].map(({ key }) => key), ...entries]
}

/** The full key of a valid name in the wrong section. */
function elsewhere(name: string): string | null {
  return [...SETTINGS, ...FILE_SETTINGS].find((one) => one.key.endsWith(`.${name}`))?.key ?? null
}

function judgeTogether(
  config: Config,
  origin: ReadonlyMap<string, string>,
  file: string | null,
  faults: ConfigFault[],
): void {
  const from = (key: string) => origin.get(key) ?? null
  if (config.tokens.ttlMs > config.tokens.maxTtlMs)
    faults.push({
      key: 'tokens.ttlMs',
      source: from('tokens.ttlMs') ?? from('tokens.maxTtlMs'),
      message: 'is more than tokens.maxTtlMs',
    })
  const issuers = new Map([[config.tokens.issuer, 'tokens.issuer']])
  for (const [index, { issuer }] of config.tokens.issuers.entries()) {
    const key = `tokens.issuers.${index}.issuer`
    const other = issuers.get(issuer)
    if (other !== undefined)
      faults.push({
        key,
        source: file,
        message:
          other === 'tokens.issuer'
            ? 'is tokens.issuer, the gateway itself'
            : `is the same as ${other}`,
      })
    else issuers.set(issuer, key)
  }
  const { meshDomain, delegation } = config
  for (const fault of staticPeerFaults(delegation.peers, { meshDomain, names: delegation.names }))
    faults.push({ ...fault, source: from('delegation.peers') })
  const seen = new Map<string, string>()
  for (const [key, { listen }] of [
    ['egress.listen', config.egress],
    ['delegation.listen', config.delegation],
    ['admin.listen', config.admin],
    ['health.listen', config.health],
  ] as const) {
    if (listen === null || listen.port === 0) continue
    const text = formatListenAddress(listen)
    const other = seen.get(text)
    if (other !== undefined)
      faults.push({
        key,
        source: from(key) ?? from(other),
        message: `is the same address as ${other}`,
      })
    seen.set(text, key)
  }
}

function absolute(path: string, base: string): string {
  return path === 'stdout' || path === '' ? path : resolve(base, path)
}
