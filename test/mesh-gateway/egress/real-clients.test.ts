/** Clients that know nothing of us, as people use them. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { EnvHttpProxyAgent, fetch, ProxyAgent } from 'undici'
import { makeTestCa, type TestCa } from '../../support/test-ca.ts'
import type { Fixture } from './fixture.ts'
import { setUp } from './setup.ts'

const HOST = 'planner.acme.mesh.internal'

interface Run {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function run(command: string, args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<Run>((resolve) => {
    const options = { env: { PATH: process.env.PATH ?? '', ...env }, timeout: 15_000 }
    execFile(command, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, stdout, stderr })
    })
  })
}

describe('an unmodified client', () => {
  const setup = setUp()
  let ca: TestCa
  let roots: string
  let rootsFile: string
  let egress: Fixture
  let token: string
  let secure: number
  let plain: number

  before(async () => {
    ca = await makeTestCa()
    const issued = ca.ca.issueAgent({ tenant: 'acme', agent: 'planner' })
    roots = issued.roots
    rootsFile = join(ca.dir, 'roots.pem')
    await writeFile(rootsFile, roots)
    const server = createServer(
      { cert: issued.certificateChain, key: issued.privateKey.reveal() },
      (request, response) => request.pipe(response.writeHead(200, { 'x-path': request.url ?? '' })),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    secure = address.port
    plain = (await setup.http((request, response) => response.end(request.url))).port
    setup.closing.push(async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    })
    const destinations = [`${HOST}:${secure}`, `${HOST}:${plain}`]
    egress = await setup.egress(plain, {
      names: { [HOST]: ['127.0.0.1'] },
      egress: { allow: destinations },
      global: { ports: [443, secure, plain] },
    })
    token = await egress.token({ destinations })
  })
  after(async () => {
    await setup.close()
    await ca.close()
  })

  const withUser = () => `http://bot-01:${token}@127.0.0.1:${egress.number}`
  const bare = () => `http://127.0.0.1:${egress.number}`

  it('curl, with the credential in the proxy URL, in both forms', async () => {
    const tunnel = await run('curl', [
      '-sS',
      '-x',
      withUser(),
      '--cacert',
      rootsFile,
      '-d',
      'hello',
      `https://${HOST}:${secure}/x`,
    ])
    assert.deepEqual([tunnel.code, tunnel.stdout], [0, 'hello'], tunnel.stderr)
    const absolute = await run('curl', ['-sS', '-x', withUser(), `http://${HOST}:${plain}/x?y`])
    assert.deepEqual([absolute.code, absolute.stdout], [0, '/x?y'], absolute.stderr)
  })

  it('curl, with --proxy-header, and with -p for http', async () => {
    const header = `Proxy-Authorization: Bearer ${token}`
    const tunnel = await run('curl', [
      '-sS',
      '-x',
      bare(),
      '--proxy-header',
      header,
      '--cacert',
      rootsFile,
      '-d',
      'hello',
      `https://${HOST}:${secure}/`,
    ])
    assert.deepEqual([tunnel.code, tunnel.stdout], [0, 'hello'], tunnel.stderr)
    const plainTunnel = await run('curl', [
      '-sS',
      '-p',
      '-x',
      bare(),
      '--proxy-header',
      header,
      `http://${HOST}:${plain}/p`,
    ])
    assert.deepEqual([plainTunnel.code, plainTunnel.stdout], [0, '/p'], plainTunnel.stderr)
  })

  it('curl shows the reason of a refused tunnel', async () => {
    const refused = await run('curl', ['-sS', '-v', '-x', withUser(), 'https://evil.test/'])
    assert.equal(refused.code, 56)
    assert.match(refused.stderr, /403 MESH_POLICY_NOT_ALLOWED no rule of policy allows it/)
  })

  it('curl cannot front: another server name in the handshake is refused with an alert', async () => {
    const fronted = await run('curl', [
      '-sS',
      '-v',
      '-x',
      withUser(),
      '--cacert',
      rootsFile,
      '--connect-to',
      `evil.test:443:${HOST}:${secure}`,
      'https://evil.test/',
    ])
    assert.notEqual(fronted.code, 0)
    assert.match(fronted.stderr, /alert access denied|access denied/i)
  })

  it('undici, with ProxyAgent and with EnvHttpProxyAgent', async () => {
    const agents = [
      new ProxyAgent({ uri: bare(), token: `Bearer ${token}`, requestTls: { ca: roots } }),
      new ProxyAgent({ uri: withUser(), requestTls: { ca: roots } }),
      new EnvHttpProxyAgent({
        httpsProxy: withUser(),
        httpProxy: withUser(),
        noProxy: '',
        requestTls: { ca: roots },
      }),
    ]
    for (const dispatcher of agents) {
      const url = `https://${HOST}:${secure}/echo`
      const response = await fetch(url, { dispatcher, method: 'POST', body: 'hello' })
      assert.equal(await response.text(), 'hello')
      await dispatcher.close()
    }
  })

  it('python, with the proxies of its environment', async function () {
    const code = `import urllib.request as u, ssl, sys
print(u.urlopen(sys.argv[1], b"hello", context=ssl.create_default_context(cafile=sys.argv[2])).read().decode())
print(u.urlopen(sys.argv[3]).read().decode())`
    const args = ['-c', code, `https://${HOST}:${secure}/`, rootsFile, `http://${HOST}:${plain}/py`]
    const answer = await run('python3', args, { https_proxy: withUser(), http_proxy: withUser() })
    if (/not found|ENOENT/.test(answer.stderr)) this.skip()
    assert.equal(answer.stdout, 'hello\n/py\n', answer.stderr)
  })
})
