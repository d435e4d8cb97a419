/** Clients that know nothing of us, as people use them. */
import assert from 'node:assert/strict'
import { EnvHttpProxyAgent, fetch, ProxyAgent } from 'undici'
import { needProgram } from '../../../support/need-program.ts'
import {
  type ClientWorld,
  clientWorld,
  HOST,
  insistOnThePort,
  leaveOut,
  run,
} from '../client-world.ts'
import { setUp } from '../setup.ts'

describe('an unmodified client', () => {
  const setup = setUp()
  let world: ClientWorld

  before(async () => {
    world = await clientWorld(setup, (request, response) =>
      request.pipe(response.writeHead(200, { 'x-path': request.url ?? '' })),
    )
  })
  after(() => world.close())
  insistOnThePort(() => world)

  it('curl, with the credential in the proxy URL, in both forms', async function () {
    needProgram(this, 'curl')
    const tunnel = await run('curl', [
      '-sS',
      '-x',
      world.withUser(),
      '--cacert',
      world.rootsFile,
      '-d',
      'hello',
      `https://${HOST}:${world.secure}/x`,
    ])
    assert.deepEqual([tunnel.code, tunnel.stdout], [0, 'hello'], tunnel.stderr)
    const absolute = await run('curl', [
      '-sS',
      '-x',
      world.withUser(),
      `http://${HOST}:${world.plain}/x?y`,
    ])
    assert.deepEqual([absolute.code, absolute.stdout], [0, '/x?y'], absolute.stderr)
  })

  it('curl, with --proxy-header, and with -p for http', async function () {
    needProgram(this, 'curl')
    const header = `Proxy-Authorization: Bearer ${world.token}`
    const tunnel = await run('curl', [
      '-sS',
      '-x',
      world.bare(),
      '--proxy-header',
      header,
      '--cacert',
      world.rootsFile,
      '-d',
      'hello',
      `https://${HOST}:${world.secure}/`,
    ])
    assert.deepEqual([tunnel.code, tunnel.stdout], [0, 'hello'], tunnel.stderr)
    const plainTunnel = await run('curl', [
      '-sS',
      '-p',
      '-x',
      world.bare(),
      '--proxy-header',
      header,
      `http://${HOST}:${world.plain}/p`,
    ])
    assert.deepEqual([plainTunnel.code, plainTunnel.stdout], [0, '/p'], plainTunnel.stderr)
  })

  it('curl shows the reason of a refused tunnel', async function () {
    needProgram(this, 'curl')
    const refused = await run('curl', ['-sS', '-v', '-x', world.withUser(), 'https://evil.test/'])
    assert.equal(refused.code, 56)
    assert.match(refused.stderr, /403 MESH_POLICY_NOT_ALLOWED no rule of policy allows it/)
  })

  it('curl cannot front: another server name in the handshake is refused with an alert', async function () {
    needProgram(this, 'curl')
    const fronted = await run('curl', [
      '-sS',
      '-v',
      '-x',
      world.withUser(),
      '--cacert',
      world.rootsFile,
      '--connect-to',
      `evil.test:443:${HOST}:${world.secure}`,
      'https://evil.test/',
    ])
    assert.notEqual(fronted.code, 0)
    assert.match(fronted.stderr, /alert access denied|access denied/i)
  })

  it('undici, with ProxyAgent and with EnvHttpProxyAgent', async () => {
    const agents = [
      new ProxyAgent({
        uri: world.bare(),
        token: `Bearer ${world.token}`,
        requestTls: { ca: world.roots },
      }),
      new ProxyAgent({ uri: world.withUser(), requestTls: { ca: world.roots } }),
      new EnvHttpProxyAgent({
        httpsProxy: world.withUser(),
        httpProxy: world.withUser(),
        noProxy: '',
        requestTls: { ca: world.roots },
      }),
    ]
    for (const dispatcher of agents) {
      const url = `https://${HOST}:${world.secure}/echo`
      const response = await fetch(url, { dispatcher, method: 'POST', body: 'hello' })
      assert.equal(await response.text(), 'hello')
      await dispatcher.close()
    }
  })

  it('undici and the fetch of Node, told where to go by their environment alone', async () => {
    const code = `const [secure, plain] = process.argv.slice(1)
import { EnvHttpProxyAgent, fetch as undiciFetch } from 'undici'
const dispatcher = new EnvHttpProxyAgent()
for (const url of [secure, plain]) console.log(await (await fetch(url)).text())
const asked = await undiciFetch(secure, { dispatcher, method: 'POST', body: 'hello' })
console.log(await asked.text())
console.log(await (await undiciFetch(plain, { dispatcher })).text())
await dispatcher.close()`
    const answer = await run(
      process.execPath,
      [
        ...['--input-type=module', '-e', code],
        ...[`https://${HOST}:${world.secure}/`, `http://${HOST}:${world.plain}/env`],
      ],
      {
        HTTPS_PROXY: world.withUser(),
        HTTP_PROXY: world.withUser(),
        NODE_USE_ENV_PROXY: '1',
        NODE_EXTRA_CA_CERTS: world.rootsFile,
      },
    )
    assert.equal(answer.stdout, '\n/env\nhello\n/env\n', answer.stderr)
  })

  it('python, with the proxies of its environment', async function () {
    const code = `import urllib.request as u, ssl, sys
print(u.urlopen(sys.argv[1], b"hello", context=ssl.create_default_context(cafile=sys.argv[2])).read().decode())
print(u.urlopen(sys.argv[3]).read().decode())`
    const args = [
      '-c',
      code,
      `https://${HOST}:${world.secure}/`,
      world.rootsFile,
      `http://${HOST}:${world.plain}/py`,
    ]
    const answer = await run('python3', args, {
      https_proxy: world.withUser(),
      http_proxy: world.withUser(),
    })
    if (answer.stderr.includes('ENOENT')) leaveOut(this, 'python3')
    assert.equal(answer.stdout, 'hello\n/py\n', answer.stderr)
  })
})
