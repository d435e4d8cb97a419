/** A gateway as a process with a file of every kind that it follows, and what it says of each. */
import { copyFile, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type GatewayProcess, startGatewayProcess } from './gateway-process.ts'
import { makeNamedPipe } from './named-pipe.ts'
import { makeTestCa, type TestCa } from './test-ca.ts'
import { waitFor } from './wait-for.ts'

export interface FollowedFile {
  /** As metrics and log name it. */
  readonly what: string
  readonly path: string
  /** It is put back as it was: it is a journal, to which nothing but entries is added. */
  readonly exact?: boolean
}

export interface GatewayOfFiles {
  readonly ca: TestCa
  readonly gateway: GatewayProcess
  readonly files: readonly FollowedFile[]
  /** Puts a named pipe into the place of a file, which is kept. */
  replaceByPipe(file: FollowedFile): Promise<void>
  /** Puts a file back, with a line end more: another content that is as good. */
  putBack(file: FollowedFile): Promise<void>
  /** 1 when the latest reload worked. */
  lastSuccess(file: FollowedFile): Promise<number | null>
  generation(file: FollowedFile): Promise<number | null>
  /** Warnings in the log about a kind of file, all there were. */
  warnings(file: FollowedFile): readonly string[]
  close(): Promise<void>
}

export interface GatewayOfFilesOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly config?: Readonly<Record<string, unknown>>
}

export async function startGatewayOfFiles(
  options: GatewayOfFilesOptions = {},
): Promise<GatewayOfFiles> {
  const ca = await makeTestCa()
  const { dir } = ca
  const at = (...parts: string[]) => join(dir, ...parts)
  const identity = await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] })
  // plain files, which can be replaced one by one
  for (const name of ['gateway', 'egress-tls']) {
    await mkdir(at(name))
    for (const file of ['tls.crt', 'tls.key', 'ca.crt'])
      await copyFile(join(identity, file), at(name, file))
  }
  await mkdir(at('policy'))
  await writeFile(at('policy', 'acme.json'), '{"tenant":"acme"}')
  await writeFile(at('accounts.json'), '{"accounts":[]}')
  await mkdir(at('trust'))
  await writeFile(at('trust', 'ca.pem'), await readFile(at('gateway', 'ca.crt')))
  await mkdir(at('crl'))
  await writeFile(at('crl', 'crl.pem'), (await ca.ca.crl()).pem)
  await mkdir(at('revoked'))
  const lines: string[] = []
  const gateway = await startGatewayProcess({
    dir,
    ...(options.env === undefined ? {} : { env: options.env }),
    onLine: (line) => lines.push(line),
    config: {
      serviceAccounts: { file: 'accounts.json' },
      egress: { tls: { dir: 'egress-tls' }, ca: 'trust/ca.pem' },
      revocation: { crl: 'crl/crl.pem', list: 'revoked/revoked.json' },
      ...options.config,
    },
  })
  const files: readonly FollowedFile[] = [
    { what: 'config', path: gateway.configFile },
    { what: 'identity', path: at('gateway', 'tls.crt') },
    { what: 'keys', path: at('keys', 'ring.json') },
    { what: 'accounts', path: at('accounts.json') },
    { what: 'egress-tls', path: at('egress-tls', 'tls.crt') },
    { what: 'egress-ca', path: at('trust', 'ca.pem') },
    { what: 'crl', path: at('crl', 'crl.pem') },
    { what: 'revocations', path: at('revoked', 'revoked.json'), exact: true },
  ]

  async function metric(name: string, what: string): Promise<number | null> {
    const text = await (await fetch(`http://${gateway.admin}/metrics`)).text()
    const found = new RegExp(`^${name}\\{what="${what}"\\} (\\d+)$`, 'm').exec(text)?.[1]
    return found === undefined ? null : Number(found)
  }

  return {
    ca,
    gateway,
    files,
    async replaceByPipe({ path }) {
      makeNamedPipe(`${path}.pipe`)
      await link(path, `${path}.kept`)
      await rename(`${path}.pipe`, path)
    },
    async putBack({ path, exact }) {
      if (exact !== true)
        await writeFile(`${path}.kept`, `${await readFile(`${path}.kept`, 'utf8')}\n`)
      await rename(`${path}.kept`, path)
    },
    lastSuccess: ({ what }) => metric('clawmesh_reload_last_success', what),
    generation: ({ what }) => metric('clawmesh_reload_generation', what),
    warnings: ({ what }) =>
      lines.filter(
        (line) =>
          line.includes(`"msg":"${what}: not reloaded`) ||
          line.includes(`"msg":"the ${what} was not reloaded`),
      ),
    async close() {
      await gateway.stop()
      await ca.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export function waitForSuccess(
  world: GatewayOfFiles,
  file: FollowedFile,
  wanted: 0 | 1,
): Promise<unknown> {
  const what = `${file.what}: ${wanted === 1 ? 'good' : 'not good'}`
  return waitFor(what, async () => (await world.lastSuccess(file)) === wanted, { withinMs: 60_000 })
}
