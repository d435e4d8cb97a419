/** The roots that a gateway trusts by itself: those of the system but for the keys that end Node. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createServer, type Server } from 'node:tls'
import { type Minted, mint } from '../../../agent-sdk/tls/mint.ts'
import { ofTheRun } from '../../../pki/run.ts'
import { listenOnFreePort } from '../../../support/http-origin.ts'

const TRUST = new URL(
  '../../../../mesh-gateway/src/egress/upstream/upstream-trust.ts',
  import.meta.url,
)
const rootOn = (key: ReturnType<typeof generateKeyPairSync>, name: string) =>
  mint({ name, pathLength: null, key })
const CURVE = rootOn(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }), 'curve')
const P256 = rootOn(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'p-256')
const RSA = rootOn(generateKeyPairSync('rsa', { modulusLength: 2048 }), 'rsa')
/** Prints what became of a handshake with the port. */
const PROGRAM = `
  import { connect } from 'node:tls'
  const { openUpstreamTrust } = await import('${TRUST}')
  const trust = await openUpstreamTrust({ file: null })
  const socket = connect({
    host: '127.0.0.1', port: Number(process.argv[1]), servername: 'localhost',
    secureContext: trust.context(),
  })
  const end = (said) => { process.stdout.write(said); socket.destroy() }
  socket.once('secureConnect', () => end('trusted'))
  socket.once('error', ({ code }) => end(code))
`

describe('the roots of a gateway', () => {
  let dir: string
  let server: Server | undefined
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'clawmesh-roots-'))
  })
  afterEach(async () => {
    server?.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** What a gateway says of a server below a root, when these are the system's. */
  async function said(issuer: Minted, system: readonly Minted[]): Promise<string> {
    const file = join(dir, 'roots.pem')
    await writeFile(file, system.map(({ pem }) => pem).join(''))
    const pair = mint({ issuer, dnsNames: ['localhost'] })
    server = createServer({ cert: pair.pem + issuer.pem, key: pair.keyPem })
    server.on('tlsClientError', () => {})
    const port = await listenOnFreePort(server)
    const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, `${port}`], {
      env: { ...ofTheRun(), SSL_CERT_FILE: file, SSL_CERT_DIR: '' },
    })
    const ended = once(child, 'close')
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
    const [code, signal] = await ended
    assert.deepEqual([code, signal], [0, null], err)
    server.close()
    return out
  }

  it('are those of the system, whatever their keys', async () => {
    for (const root of [RSA, P256]) assert.equal(await said(root, [RSA, CURVE, P256]), 'trusted')
  })

  it('are none whose key would end the process at the first handshake', async () => {
    assert.match(await said(CURVE, [RSA, CURVE]), /^(?:SELF_SIGNED|UNABLE_TO)/)
  })
})
