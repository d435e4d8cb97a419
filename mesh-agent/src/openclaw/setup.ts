/** `mesh-agent openclaw setup`: what would change in OpenClaw's configuration, and the change itself. */
import { realpath, stat } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  isTaken,
  makeSecret,
  openRelaySecret,
  readWhole,
  replaceSecretFile,
  writeAtomic,
} from '@clawmesh/agent-sdk/mesh'
import { MeshError } from '@clawmesh/proto'
import { appendAt, readJson5, valueAt, writeAt } from './json5-text.ts'
import { type MeshSettings, type Setting, wantedSettings } from './wanted-settings.ts'

export interface Change {
  /** As `openclaw config get` takes it: `proxy.proxyUrl`. */
  readonly path: string
  /** As JSON, without credentials; null: there was none. */
  readonly before: string | null
  readonly after: string
}

export interface Plan {
  readonly file: string
  readonly changes: readonly Change[]
  /** Others can read the file, which is to hold a secret. */
  readonly tightens: boolean
  /** Writes all of it. Answers where the file as it was is kept; null: there was none. @throws MeshError */
  apply(): Promise<string | null>
}

export interface PlanOptions {
  readonly configFile: string
  readonly mesh: MeshSettings
  /** The plugin's entry as well. */
  readonly plugin: boolean
  /** Puts a new secret in the place of the relay's. Default false. */
  readonly renewSecret?: boolean
  readonly now: () => Date
}

const MAX_BYTES = 4 * 1024 * 1024
/** Within one second. */
const MOST_COPIES = 100

/** Changes nothing but a secret file that is missing. @throws MeshError MESH_CONFIG_INVALID, MESH_RELAY_SECRET */
export async function planSetup(options: PlanOptions): Promise<Plan> {
  const { mesh, plugin, renewSecret = false } = options
  const file = await realpath(options.configFile).catch(() => options.configFile)
  const secret = renewSecret ? makeSecret() : await openRelaySecret(mesh.secretFile)
  const before = await readText(file)
  const text = before ?? '{}\n'
  const config = parse(file, text)
  const settings = wantedSettings(config, mesh, secret.reveal(), plugin)
  const after = settings.reduce(put, text)
  checkOutcome(file, after, settings)
  const mode = before === null ? 0o600 : (await stat(file)).mode & 0o777
  return {
    file,
    changes: changesOf(config, settings),
    tightens: (mode & 0o077) !== 0,
    async apply() {
      // first: with a configuration that cannot be written OpenClaw is refused, and keeps no secret that may be known
      if (renewSecret) await replaceSecretFile(mesh.secretFile, secret)
      return write(file, before, after, options.now())
    },
  }
}

/** The configuration, for a look at it; null when there is no file. @throws MeshError MESH_CONFIG_INVALID */
export async function readOpenClawConfig(
  file: string,
): Promise<Readonly<Record<string, unknown>> | null> {
  const text = await readText(file)
  return text === null ? null : parse(file, text)
}

async function readText(file: string): Promise<string | null> {
  return (await readBytes(file))?.toString('utf8') ?? null
}

async function readBytes(file: string): Promise<Buffer | null> {
  try {
    return await readWhole(file, { maxBytes: MAX_BYTES })
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    if (code === 'ENOENT') return null
    throw new MeshError('MESH_CONFIG_INVALID', `${file} cannot be read (${code})`, {
      cause,
      hint: "run this as OpenClaw's own user, or name another file with --config",
    })
  }
}

function parse(file: string, text: string): Readonly<Record<string, unknown>> {
  try {
    return readJson5(text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'no JSON5'
    throw new MeshError('MESH_CONFIG_INVALID', `${file} is no JSON5: ${why}`, {
      cause,
      hint: 'mend the file first: `openclaw doctor` shows what is wrong with it',
    })
  }
}

function put(text: string, { path, value, append }: Setting): string {
  return append === true ? appendAt(text, path, value) : writeAt(text, path, value)
}

/** The text is edited and not written anew: it is read once more before it replaces anything. */
function checkOutcome(file: string, text: string, settings: readonly Setting[]): void {
  const outcome = parse(file, text)
  for (const { path, value, append } of settings) {
    const found = valueAt(outcome, path)
    const good = append === true ? [found].flat().includes(value) : isDeepStrictEqual(found, value)
    if (!good)
      throw new MeshError('MESH_CONFIG_INVALID', `${file}: ${path.join('.')} cannot be set`)
  }
}

function changesOf(config: unknown, settings: readonly Setting[]): Change[] {
  return settings.flatMap(({ path, value, append }) => {
    const before = valueAt(config, path)
    const after = append === true ? [...[before].flat(), value] : value
    if (isDeepStrictEqual(before, after)) return []
    return [
      {
        path: path.join('.'),
        before: before === undefined ? null : shown(before),
        after: shown(after),
      },
    ]
  })
}

/** As JSON, without the credentials of URLs: the name of a user is shown, and nothing of what may be a token. */
export function shown(value: unknown): string {
  const hide = (_key: string, one: unknown) =>
    typeof one === 'string' ? one.replace(CREDENTIALS, '://$1***@') : one
  return JSON.stringify(value, hide) ?? 'undefined'
}

/** Up to the last @: a password may hold any character, also where no URL may. */
const CREDENTIALS = /:\/\/(?:([^/@:]*:).*|[^/@]+)@/gs

async function write(
  file: string,
  before: string | null,
  after: string,
  now: Date,
): Promise<string | null> {
  // OpenClaw writes this file too
  const bytes = await readBytes(file)
  if ((bytes?.toString('utf8') ?? null) !== before)
    throw new MeshError(
      'MESH_CONFIG_INVALID',
      `${file} has changed meanwhile; nothing was written`,
      {
        hint: 'run the command again',
      },
    )
  const backup = bytes === null ? null : await keep(file, bytes, now)
  await writeAtomic(file, after)
  return backup
}

/** Beside it, under a name that nothing has: an earlier copy is never replaced. @throws MeshError MESH_DISK_WRITE */
async function keep(file: string, bytes: Buffer, now: Date): Promise<string> {
  const name = `${file}.before-clawmesh-${now.toISOString().replace(/[-:]|\.\d+/g, '')}`
  for (let copy = 1; ; copy += 1) {
    const backup = copy === 1 ? name : `${name}-${copy}`
    try {
      await writeAtomic(backup, bytes, { replaces: false })
      return backup
    } catch (error) {
      if (!isTaken(error) || copy === MOST_COPIES) throw error
    }
  }
}
