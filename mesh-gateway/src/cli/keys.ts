/** `mesh-gateway keys`: manages the keys that sign egress tokens. A running gateway notices every change by itself. */
import { resolve } from 'node:path'
import { writeAtomic } from '@clawmesh/agent-sdk/mesh'
import { printableJson } from '@clawmesh/proto'
import type { Command } from 'commander'
import { type Terminal, table } from '../process/terminal.ts'
import { exportRing } from '../tokens/export-ring.ts'
import {
  JWKS_MAX_AGE_MS,
  mustReadRingContent,
  type RingContent,
  type RingEntry,
  readRing,
} from '../tokens/key-ring-file.ts'
import { keyToken } from '../tokens/key-token.ts'
import { retireKey, rotateRing } from '../tokens/rotate-keys.ts'
import { addConfigOptions, readCommandConfig } from './config-options.ts'
import { durationValue, labelValue, objectName } from './values.ts'

interface KeysOptions {
  readonly json?: boolean
  readonly overlap?: number
  readonly force?: boolean
}

interface ExportOptions {
  readonly secret: string
  readonly namespace?: string
  readonly out: string
}

/** As long as verifiers may cache the key set, plus the time in which a gateway publishes a new key. */
const LEAST_PUBLISHED_MS = JWKS_MAX_AGE_MS + 30_000
const USED = ['keys.dir', 'keys.overlapMs', 'keys.pkcs11']
const MEANING = {
  active: 'signs',
  next: 'published, signs after the next rotation',
  verifying: 'verifies',
}

const EXAMPLES = `
Examples:
  $ mesh-gateway keys list --keys-dir /var/lib/mesh/keys
  $ mesh-gateway keys rotate            old tokens verify for 24 h more
  $ mesh-gateway keys rotate --overlap 1h
  $ mesh-gateway keys rotate --force    twice in six minutes: a key has leaked
  $ mesh-gateway keys retire KID        its tokens are refused from now on
  $ mesh-gateway keys export --secret mesh-keys --out - |
      kubectl apply --server-side -f -`

export function addKeys(program: Command, terminal: Terminal): void {
  const keys = program
    .command('keys')
    .description('list, rotate, retire and export the keys that sign tokens')
    .helpCommand(false)
    .addHelpText('after', EXAMPLES)
  const add = (text: string, description: string) =>
    addConfigOptions(
      keys.command(text).description(description).option('--json', 'print the keys as JSON'),
      USED,
    )
  const dirOf = async (options: object) =>
    (await readCommandConfig({ ...options }, terminal, USED)).keys
  const show = (options: KeysOptions, { keys: entries }: RingContent) => {
    const alive = entries.filter((key) => key.until === null || Date.parse(key.until) > Date.now())
    terminal.print(options.json === true ? printableJson({ keys: alive }, 2) : keyTable(alive))
  }

  add('list', 'show the keys and what each is for').action(async (options: KeysOptions) => {
    const { dir } = await dirOf(options)
    const content = await mustReadRingContent(dir)
    // proves that every named key exists and is valid
    const ring = await readRing(dir)
    ring.parse()
    show(options, content)
  })

  add('rotate', 'sign with the next key from now on')
    .option('--overlap <time>', 'how long the old key verifies; default 24h', durationValue)
    .option('--force', 'also when the next key is so new that verifiers may not know it')
    .action(async (options: KeysOptions) => {
      const { dir, overlapMs, pkcs11 } = await dirOf(options)
      const content = await rotateRing({
        dir,
        token: keyToken(pkcs11),
        overlapMs: options.overlap ?? overlapMs,
        leastPublishedMs: options.force === true ? 0 : LEAST_PUBLISHED_MS,
      })
      show(options, content)
      terminal.say(`rotated; a running gateway on ${dir} takes it over within seconds`)
    })

  addConfigOptions(
    keys
      .command('export')
      .description('write the keys as a Secret of Kubernetes, private keys included')
      .requiredOption('--secret <name>', 'name of the Secret', objectName)
      .option('--namespace <name>', 'namespace of the Secret', labelValue)
      .requiredOption('--out <file>', 'manifest to write; - for standard output'),
    ['keys.dir'],
  ).action(async (options: ExportOptions) => {
    const { dir } = await dirOf(options)
    const { secret: name, namespace = null } = options
    const manifest = await exportRing(dir, { name, namespace })
    if (options.out === '-') return terminal.print(manifest.reveal().trimEnd())
    const path = resolve(terminal.cwd, options.out)
    await writeAtomic(path, manifest.reveal())
    terminal.say(`${path} holds private keys: remove it when it is applied`)
  })

  add('retire', 'refuse from now on what a key has signed')
    .argument('<kid>', 'the id of the key, as `keys list` shows it')
    .action(async (kid: string, options: KeysOptions) => {
      const { dir, pkcs11 } = await dirOf(options)
      show(options, await retireKey({ dir, kid, token: keyToken(pkcs11) }))
      terminal.say(`retired ${kid}`)
    })
}

function keyTable(keys: readonly RingEntry[]): string {
  return table(
    ['KID', 'STATE', 'CREATED', 'MEANING'],
    keys.map((key) => [
      key.kid,
      key.role,
      key.created,
      `${MEANING[key.role]}${key.until === null ? '' : ` until ${key.until}`}`,
    ]),
  )
}
