import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import { type Ca, type Issued, initCa, openCa, writeIdentity } from '@clawmesh/pki'
import { octetString, oid, sequence } from '../../pki/src/der/write.ts'
import { isOnPath, needProgram } from '../support/need-program.ts'
import { type Judge, pythonJudge, rustJudge, writeChain } from './foreign-judges.ts'
import { type HandMade, stolenCa } from './hand-made.ts'
import { judgeByHandshake } from './judge-by-handshake.ts'
import { run } from './run.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from './scratch.ts'

const GO_PROGRAM = fileURLToPath(new URL('./go-verify.go', import.meta.url))

const ACCEPTED = 'server: accepted; client: accepted'

describe('certificates of the CA', () => {
  let scratch: Scratch
  let ca: Ca
  let agent: Issued
  let gateway: Issued
  const forged: Record<string, HandMade> = {}

  before(async () => {
    scratch = await makeScratch()
    ca = await makeCa(scratch.path('ca'))
    agent = ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    gateway = ca.issueGateway({ name: 'gw', tenants: ['acme'] })
    const thief = await stolenCa(scratch.path('ca'))
    forged.dns = thief.leaf({ dnsNames: ['www.example.com'] })
    const dir = scratch.path('uris')
    await initCa({ dir, trustDomain: 'mesh.internal', passphrase: PASSPHRASE, constrainUris: true })
    const uris = await stolenCa(dir)
    forged.uri = uris.leaf({ uris: ['spiffe://other.internal/tenant/acme/agent/planner'] })
    forged.ip = thief.leaf({ ipAddresses: [Buffer.from([10, 0, 0, 1])] })
    forged.subCa = thief.leafBelowAnotherCa()
    const codeSigning = sequence(oid('2.5.29.37'), octetString(sequence(oid('1.3.6.1.5.5.7.3.3'))))
    forged.purpose = thief.leaf({}, [codeSigning])
  })
  after(() => scratch.remove())

  async function opensslVerify(identity: HandMade, purpose: string): Promise<string> {
    const chain = scratch.path('chain.pem')
    const roots = scratch.path('roots.pem')
    await writeFile(chain, identity.certificateChain)
    await writeFile(roots, identity.roots)
    const trust = ['-x509_strict', '-CAfile', roots, '-no-CApath', '-no-CAstore']
    const args = ['verify', ...trust, '-purpose', purpose, '-untrusted', chain, chain]
    const { code, stderr } = await run('openssl', args)
    return code === 0 ? '' : stderr
  }

  it('pass openssl verify -x509_strict as server and as client', async function () {
    needProgram(this, 'openssl', 'version')
    for (const identity of [agent, gateway])
      for (const purpose of ['sslserver', 'sslclient'])
        assert.equal(await opensslVerify(identity, purpose), '')
  })

  it('are refused by OpenSSL, in Node and by itself, for every name, depth and purpose that the intermediate does not permit', async () => {
    for (const [kind, words] of [
      ['dns', /permitted subtree violation/],
      ['uri', /permitted subtree violation/],
      ['ip', /excluded subtree violation/],
      ['subCa', /path length constraint exceeded/],
      ['purpose', /unsuitable certificate purpose|unsupported certificate purpose/],
    ] as const) {
      const identity = forged[kind]
      assert.ok(identity)
      assert.match(await judgeByHandshake(identity), words, kind)
      if (isOnPath('openssl')) assert.match(await opensslVerify(identity, 'sslserver'), words, kind)
    }
  })

  it('pass Go, which refuses the same forgeries', async function () {
    needProgram(this, 'go', 'version')
    this.timeout(240_000)
    const ask = (identity: HandMade | undefined, name: string, purpose = 'server') => ({
      chain: identity?.certificateChain ?? '',
      roots: identity?.roots ?? '',
      name,
      purpose,
    })
    const planner = 'planner.acme.mesh.internal'
    const questions = [
      ask(agent, planner),
      ask(agent, planner, 'client'),
      ask(gateway, 'gw.mesh.internal'),
      ask(gateway, 'gateway.mesh.internal', 'client'),
      ask(gateway, 'researcher.acme.mesh.internal'),
      ask(agent, 'researcher.acme.mesh.internal'),
      ask(forged.dns, 'www.example.com'),
      ask(forged.uri, ''),
      ask(forged.ip, ''),
      ask(forged.subCa, ''),
      ask(forged.purpose, ''),
    ]
    const { code, stdout, stderr } = await run('go', ['run', GO_PROGRAM], {
      input: JSON.stringify(questions),
      env: { GOTOOLCHAIN: 'local', GOFLAGS: '' },
    })
    assert.equal(code, 0, stderr)
    const answers: unknown = JSON.parse(stdout)
    assert.ok(Array.isArray(answers))
    assert.deepEqual(answers.slice(0, 5), ['', '', '', '', ''])
    assert.match(String(answers[5]), /certificate is valid for planner\.acme\.mesh\.internal/)
    for (const [index, words] of [
      [6, /not permitted/],
      [7, /not permitted/],
      [8, /excluded/],
      [9, /too many intermediates/],
      [10, /incompatible key usage/],
    ] as const)
      assert.match(String(answers[index]), words)
  })

  for (const [what, findJudge] of [
    ['rustls (rustls-webpki)', rustJudge],
    ["Python's cryptography", pythonJudge],
  ] as const)
    it(`pass ${what}, which refuses the same forgeries`, async function () {
      this.timeout(300_000)
      const judge = await findJudge()
      if (judge === null) return this.skip()
      const ask = async (name: string, chain: HandMade) =>
        writeChain(scratch.path('judged', name), chain)
      const good = [await ask('agent', agent), await ask('gateway', gateway)]
      assert.deepEqual(await judge.judge(good), [ACCEPTED, ACCEPTED])
      for (const kind of ['dns', 'ip', 'subCa', 'purpose'] as const) {
        const identity = forged[kind]
        assert.ok(identity)
        const [verdict] = await judge.judge([await ask(kind, identity)])
        assert.doesNotMatch(String(verdict), /accepted/, kind)
      }
      await refusesUriConstraints(judge)
    })

  /** The reason why URIs are constrained on demand only: whichever URI it is, the chain is refused. */
  async function refusesUriConstraints(judge: Judge) {
    const ofUris = await openCa({ dir: scratch.path('uris'), passphrase: PASSPHRASE })
    const identity = ofUris.issueAgent({ tenant: 'acme', agent: 'planner' })
    const dir = await writeChain(scratch.path('judged', 'uri-constraint'), identity)
    const [verdict] = await judge.judge([dir])
    assert.match(String(verdict), /^server: .*name ?constraint.*; client: .*name ?constraint/i)
  }

  async function mutualHandshake(server: HandMade, client: HandMade, servername: string) {
    const listener = tls.createServer({
      cert: server.certificateChain,
      key: server.privateKey.reveal(),
      ca: server.roots,
      requestCert: true,
      minVersion: 'TLSv1.3',
    })
    listener.on('secureConnection', (socket) => socket.on('error', () => {}).end('hello'))
    // a client that is refused must not end the test process
    listener.on('tlsClientError', () => {})
    await once(listener.listen(0, '127.0.0.1'), 'listening')
    const address = listener.address()
    assert.ok(address !== null && typeof address === 'object')
    const socket = tls.connect({
      host: '127.0.0.1',
      port: address.port,
      servername,
      cert: client.certificateChain,
      key: client.privateKey.reveal(),
      ca: client.roots,
      minVersion: 'TLSv1.3',
    })
    try {
      socket.setEncoding('utf8')
      const [greeting] = await once(socket, 'data')
      return greeting
    } finally {
      socket.destroy()
      listener.close()
      await once(listener, 'close')
    }
  }

  it('carry mutual TLS 1.3 in Node, an agent calling the gateway and the gateway an agent', async () => {
    assert.equal(await mutualHandshake(gateway, agent, 'gateway.mesh.internal'), 'hello')
    assert.equal(await mutualHandshake(gateway, agent, 'researcher.acme.mesh.internal'), 'hello')
    assert.equal(await mutualHandshake(agent, gateway, 'planner.acme.mesh.internal'), 'hello')
  })

  it('of another CA are refused by Node on either side', async () => {
    const other = await makeCa(scratch.path('other'))
    const stranger = other.issueAgent({ tenant: 'acme', agent: 'planner' })
    await assert.rejects(mutualHandshake(gateway, stranger, 'gateway.mesh.internal'))
    await assert.rejects(mutualHandshake(stranger, agent, 'planner.acme.mesh.internal'))
  })

  it('are read by OpenSSL from the directory that writeIdentity makes', async () => {
    const dir = scratch.path('planner')
    await writeIdentity(dir, agent)
    const key = createPrivateKey(await readFile(`${dir}/tls.key`))
    assert.ok(new X509Certificate(await readFile(`${dir}/tls.crt`)).checkPrivateKey(key))
  })
})
