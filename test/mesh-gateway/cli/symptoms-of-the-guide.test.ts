/** The table of symptoms in the guide on troubleshooting: each line of it is produced, and shows what the line says. */
import assert from 'node:assert/strict'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { writeIdentity } from '@clawmesh/pki'
import { createSpiffeTemplate } from '@clawmesh/proto'
import { createTokenIssuer } from '../../../mesh-gateway/src/tokens/issue-token.ts'
import { openKeyRing } from '../../../mesh-gateway/src/tokens/key-ring.ts'
import { freePorts } from '../../../scripts/dev/free-ports.ts'
import { describeClosing } from '../../support/closes-everything.ts'
import { grpcurl, run } from '../../support/grpcurl.ts'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { type Mesh, makeCa, startMesh } from '../../support/mesh.ts'
import { needProgram } from '../../support/need-program.ts'
import { waitFor } from '../../support/wait-for.ts'

const GUIDE = new URL('../../../docs/guides/debugging.md', import.meta.url)
const MINUTE = 60_000

interface Row {
  /** What tells it from the others. */
  readonly name: string
  /** What a person sees. */
  readonly shown: readonly string[]
}

/** Of a token that is made here, as the gateway makes its own. */
interface Token {
  readonly destinations?: readonly string[]
  /** From now. */
  readonly issuedMs?: number
}

describeClosing('the table of symptoms in the guide', () => {
  let mesh: Mesh
  let rows: readonly Row[]
  const origins: Server[] = []
  /** host:port of destinations. */
  let well = ''
  let silent = ''
  let lost = ''
  let closed = ''

  before(async function () {
    this.timeout(120_000)
    needProgram(this, 'curl')
    needProgram(this, 'openssl', 'version')
    rows = rowsOf(await readFile(GUIDE, 'utf8'))
    const open = async (serve: Parameters<typeof createServer>[1]) => {
      const server = createServer(serve)
      origins.push(server)
      return listenOnFreePort(server)
    }
    const [closedPort = 0] = await freePorts(1)
    const ports = {
      well: await open((_, response) => response.end('well')),
      silent: await open(() => {}),
      lost: await open((request) => request.socket.destroy()),
      closed: closedPort,
    }
    well = `api.openai.com:${ports.well}`
    silent = `silent.test:${ports.silent}`
    lost = `lost.test:${ports.lost}`
    closed = `closed.test:${ports.closed}`
    mesh = await startMesh({
      policy: {
        acme: {
          egress: {
            allow: [well, silent, lost, closed, 'inside.test', 'gone.test'],
            agents: { limited: { limits: { requestsPerMinute: 1, burst: 1 } } },
          },
          delegation: { allow: [{ from: 'planner', to: '*' }] },
        },
        _global: {
          egress: { allowCidrs: ['127.0.0.0/8'], ports: [80, 443, ...Object.values(ports)] },
        },
      },
      config: { timeouts: { answerMs: 1_000 } },
    })
    for (const name of ['api.openai.com', 'silent.test', 'lost.test', 'closed.test'])
      mesh.addHost(name, ['127.0.0.1'])
    mesh.addHost('inside.test', ['10.1.2.3'])
  })
  after(async () => {
    await mesh?.close()
    for (const server of origins) await closeServer(server)
  })

  async function token({ destinations, issuedMs = 0 }: Token = {}, agent = 'bot-01') {
    const keyRing = await openKeyRing({ dir: join(mesh.dir, 'keys') })
    const all = [well, silent, lost, closed, 'inside.test', 'gone.test', 'unnamed.test']
    try {
      const { token: made } = await createTokenIssuer({
        keyRing,
        issuer: 'https://gateway.mesh.internal',
        spiffe: createSpiffeTemplate({ trustDomain: 'mesh.internal' }),
        allowedDestinations: () => destinations ?? all,
        ttl: () => ({ ttlMs: 15 * MINUTE, maxTtlMs: 60 * MINUTE }),
        now: () => Date.now() + issuedMs,
      }).issue({ agent: { tenant: 'acme', agent }, destinations: null })
      return made.reveal()
    } finally {
      await keyRing.close()
    }
  }

  /** What curl prints of a request by the gateway, head and body. */
  async function curl(to: string, { agent = 'bot-01', given = '', more = [''] } = {}) {
    const credential = given === '' ? '' : `${agent}:${given}@`
    const args = ['-sSi', '-x', `http://${credential}${mesh.gateway.egress}`, `http://${to}/`]
    const { stdout, stderr } = await run('curl', [...more.filter(Boolean), ...args])
    return stdout + stderr
  }

  const producers: Readonly<Record<string, () => Promise<string>>> = {
    MESH_TOKEN_DESTINATION: async () =>
      curl(well, { given: await token({ destinations: ['openai.com'] }) }),
    MESH_POLICY_NOT_ALLOWED: async () => curl('unnamed.test', { given: await token() }),
    MESH_EGRESS_ADDRESS_REFUSED: async () => curl('inside.test', { given: await token() }),
    MESH_TOKEN_MISSING: () => curl(well),
    MESH_TOKEN_EXPIRED: async () => curl(well, { given: await token({ issuedMs: -20 * MINUTE }) }),
    MESH_TOKEN_NOT_YET_VALID: async () =>
      curl(well, { given: await token({ issuedMs: 2 * MINUTE }) }),
    'Could not resolve host': async () => {
      assert.match(await curl(well, { given: await token() }), /^HTTP\/1\.1 200 /)
      const { stderr } = await run('curl', ['-sS', '--noproxy', '*', 'http://agent.invalid/'])
      return stderr
    },
    MESH_EGRESS_UNRESOLVED: async () => curl('gone.test', { given: await token() }),
    MESH_EGRESS_UNREACHABLE: async () => curl(closed, { given: await token() }),
    MESH_EGRESS_LOST: async () => curl(lost, { given: await token() }),
    'Operation timed out': async () => curl(silent, { given: await token(), more: ['-m', '0.3'] }),
    MESH_EGRESS_TIMEOUT: async () => curl(silent, { given: await token() }),
    MESH_RATE_LIMITED: async () => {
      const given = await token({}, 'limited')
      assert.match(await curl(well, { agent: 'limited', given }), /^HTTP\/1\.1 200 /)
      return curl(well, { agent: 'limited', given })
    },
    'unable to get local issuer certificate': async () => {
      const args = ['s_client', '-connect', mesh.gateway.delegation, '-verify_return_error']
      const { stdout, stderr } = await run('openssl', args)
      return stdout + stderr
    },
    MESH_IDENTITY_UNTRUSTED: async () => {
      const other = await makeCa(join(mesh.dir, 'other-ca'))
      const identity = join(mesh.dir, 'other')
      await writeIdentity(identity, other.issueAgent({ tenant: 'acme', agent: 'planner' }))
      const agent = await mesh.agent('acme', 'planner', { identity })
      return agent.whoAmI().then(() => 'it was accepted', codeOf)
    },
    MESH_PEER_UNRESOLVED: async () => {
      const to = ['-authority', 'nobody.acme.mesh.internal', mesh.gateway.delegation]
      const { stdout, stderr } = await grpcurl({
        identity: await mesh.identity('acme', 'planner'),
        args: [...to, 'grpc.health.v1.Health/Check'],
      })
      return stdout + stderr
    },
    'there is no policy': async () => {
      const policy = join(mesh.dir, 'policy')
      await mesh.gateway.stop()
      await rm(policy, { recursive: true })
      await mkdir(policy)
      mesh.gateway.start().catch(() => {})
      const ready = () =>
        run('curl', ['-si', `http://${mesh.gateway.admin}/ready`]).then(({ stdout }) => stdout)
      const said = await waitFor('an answer', async () => (await ready()) || null)
      await mesh.setPolicy({ acme: {} })
      await waitFor('the gateway', async () => (await ready()).startsWith('HTTP/1.1 200 '))
      return said
    },
  }

  it('has a producer for each line', () => {
    assert.deepEqual(rows.map(({ name }) => name).toSorted(), Object.keys(producers).toSorted())
  })

  for (const [name, produce] of Object.entries(producers))
    it(`tells of ${name} what is seen`, async () => {
      const { shown = [] } = rows.find((row) => row.name === name) ?? {}
      const seen = await produce()
      for (const text of shown) assert.ok(seen.includes(text), `${text}\n${seen}`)
    }).timeout(60_000)
})

/** By a code of ours, or else by the words of another program. */
function rowsOf(guide: string): Row[] {
  const [, table = ''] = /^## By symptom\n(.*?)^## /ms.exec(guide) ?? []
  return [...table.matchAll(/^\| (.*?) \|.*$/gm)].flatMap(([, cell = '']) => {
    const shown = [...cell.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text)
    const said = shown.filter((text) => !/^\d{3}$|^\/ready$/.test(text))
    const name = said.find((text) => text.startsWith('MESH_')) ?? said[0]
    return name === undefined ? [] : [{ name, shown: shown.filter((text) => text !== '/ready') }]
  })
}

function codeOf(error: unknown): string {
  return String(Reflect.get(Object(error), 'code'))
}
