/** A certificate and key for the egress port that fit, and that TLS refuses: the port goes on with the pair it has. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { type Minted, mint } from '../agent-sdk/tls/mint.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { waitFor } from '../support/wait-for.ts'

const DNS = { dnsNames: ['localhost'] }
const small = () => mint({ ...DNS, key: generateKeyPairSync('rsa', { modulusLength: 1024 }) })
const unknown = () => mint({ ...DNS, key: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }) })
const good = () => mint(DNS)

describe('a pair that TLS refuses ends no gateway', function () {
  this.timeout(240_000)
  let ca: TestCa
  let gateway: GatewayProcess | null = null
  beforeEach(async () => {
    ca = await makeTestCa()
    await ca.gatewayDir({ name: 'gw-1', tenants: ['acme'] })
    await mkdir(join(ca.dir, 'policy'))
    await writeFile(join(ca.dir, 'policy', 'acme.json'), '{"tenant":"acme"}')
    await mkdir(join(ca.dir, 'tls'))
  })
  afterEach(async () => {
    await gateway?.stop()
    gateway = null
    await ca.close()
    await rm(ca.dir, { recursive: true, force: true })
  })

  async function write(pair: Minted): Promise<void> {
    await writeFile(join(ca.dir, 'tls', 'tls.crt'), pair.pem)
    await writeFile(join(ca.dir, 'tls', 'tls.key'), pair.keyPem)
  }

  async function start(workers: number): Promise<GatewayProcess> {
    const config = { workers, egress: { tls: { dir: 'tls' } }, identity: { dir: 'gateway-gw-1' } }
    gateway = await startGatewayProcess({ dir: ca.dir, config })
    return gateway
  }

  async function metrics(running: GatewayProcess): Promise<string> {
    return (await fetch(`http://${running.admin}/metrics`)).text()
  }

  /** Resolves when a new connection gets this certificate. */
  function shows(running: GatewayProcess, pair: Minted): Promise<void> {
    const port = Number(running.egress.split(':')[1])
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca: pair.pem })
      socket.once('secureConnect', () => {
        socket.destroy()
        resolve()
      })
      socket.once('error', reject)
    })
  }

  for (const workers of [1, 2]) {
    it(`while it runs, of ${workers === 1 ? 'one process' : 'two workers'}`, async () => {
      const first = good()
      await write(first)
      const running = await start(workers)
      for (const make of [small, unknown]) {
        await write(make())
        const refused = /clawmesh_reload_last_success\{what="egress-tls"\} 0/
        await waitFor('the pair to be refused', async () => refused.test(await metrics(running)))
        for (let count = 0; count < 4; count += 1) await shows(running, first)
        assert.equal((await fetch(`http://${running.admin}/ready`)).status, 200)
      }
      assert.doesNotMatch(await metrics(running), /clawmesh_worker_restarts_total [1-9]/)
      const said = running.lastLines().join('\n')
      assert.match(said, /egress-tls: not reloaded, the last good one stays/)
      assert.doesNotMatch(said, /egress-tls: reloaded|a fault of the gateway|PRIVATE/)
      const next = good()
      await write(next)
      await waitFor('the next good one to be shown', () =>
        shows(running, next).then(
          () => true,
          () => false,
        ),
      )
      assert.equal((await running.stop()).code, 0)
    })

    it(`at the start, of ${workers === 1 ? 'one process' : 'two workers'}: it is said, with a hint, and the code is 1`, async () => {
      await write(small())
      await assert.rejects(start(workers), (error: unknown) => {
        const said = String(error)
        assert.match(said, /ended with exit code 1/)
        assert.match(said, /TLS clients are not served .*ERR_SSL_EE_KEY_TOO_SMALL/)
        assert.match(said, /hint: .*RSA with 2048 bits/)
        assert.doesNotMatch(said, /\n {4}at (?!.*gateway-process)|fault of mesh-gateway/)
        return true
      })
    })
  }
})
