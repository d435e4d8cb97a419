/** What `npm start` was asked for. */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

export interface DevOptions {
  /** What the researcher reads: a file to be served from loopback, or a URL of the web. */
  readonly document: { readonly file: string } | { readonly url: string }
  /** Everything the mesh writes is in here. */
  readonly dir: string
  /** The first of the ports; null for the usual ones, 0 for any that are free. */
  readonly portBase: number | null
  /** Ends after the demonstration. */
  readonly once: boolean
}

/** Wrong usage: the message says what is wrong, the hint what to type. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.hint = hint
  }
}

export const USAGE = `usage: npm start -- [options] [URL | FILE]

Brings up a mesh on this machine: a gateway, two agents, DNS. The planner has the
researcher read a document: this repository's README, or the one you name.

  npm start
  npm start -- docs/architecture.md
  npm start -- https://example.com/

options:
  --once            end after the demonstration
  --port-base N     use the ports from N on; 0 takes any that are free
                    (or MESH_DEV_PORT_BASE)
  --dir DIR         where certificates, keys, policy and logs are kept
                    (default .clawmesh)
  --help            show this
`

/** Null when only the usage was asked for. @throws UsageError */
export async function readDevOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  root: string,
): Promise<DevOptions | null> {
  const { values, positionals } = parse(args)
  if (values.help) return null
  const [document, ...more] = positionals
  if (more.length > 0) throw new UsageError('one document at a time', 'npm start -- --help')
  return {
    document: document === undefined ? { file: resolve(root, 'README.md') } : await read(document),
    dir: resolve(root, values.dir ?? '.clawmesh'),
    portBase: readPortBase(values['port-base'] ?? env.MESH_DEV_PORT_BASE),
    once: values.once,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        once: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        dir: { type: 'string' },
        'port-base': { type: 'string' },
      },
    })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(message.split('. ')[0] ?? message, 'npm start -- --help')
  }
}

async function read(document: string): Promise<DevOptions['document']> {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(document)) {
    const url = URL.parse(document)
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
      throw new UsageError(`not a URL of the web: ${document}`, 'give one of http:// or https://')
    if (url.username !== '' || url.password !== '')
      throw new UsageError('the URL carries a user name or password', 'give one without')
    url.hash = ''
    return { url: url.href }
  }
  const file = resolve(document)
  const found = await stat(file).catch(() => null)
  if (!found?.isFile())
    throw new UsageError(
      found === null ? `there is no file ${document}` : `${document} is not a file`,
      'give a file, or a URL such as https://example.com/',
    )
  return { file }
}

function readPortBase(value: string | undefined): number | null {
  if (value === undefined || value === '') return null
  const base = Number(value)
  if (/^\d+$/.test(value) && (base === 0 || (base >= 1024 && base <= 65_500))) return base
  throw new UsageError(
    `the port base ${JSON.stringify(value)} is not one`,
    'give a number from 1024 to 65500, or 0 for any free ports',
  )
}
