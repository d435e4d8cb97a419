/** Clients in other languages and of other protocols, unmodified: where to go and who they are stands in their environment. */
import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { get as httpGet, Agent as PlainAgent } from 'node:http'
import { get as httpsGet, Agent as SecureAgent } from 'node:https'
import { connect, createServer, type Socket } from 'node:net'
import { join, normalize } from 'node:path'
import { text } from 'node:stream/consumers'
import { ProxyAgent, WebSocket as UndiciWebSocket } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { listenOnFreePort } from '../../../support/http-origin.ts'
import {
  type ClientWorld,
  clientWorld,
  HOST,
  insistOnThePort,
  leaveOut,
  run,
} from '../client-world.ts'
import { setUp } from '../setup.ts'

const GO = `package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	for _, url := range os.Args[1:] {
		answer, err := http.Post(url, "text/plain", strings.NewReader("hello"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		body, _ := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, string(body))
	}
}
`
const REQUESTS = `import requests, sys
print(requests.post(sys.argv[1], data="hello").text)
print(requests.get(sys.argv[2]).text)
try:
    requests.get("https://evil.test/")
except requests.exceptions.ProxyError as refusal:
    print("MESH_POLICY_NOT_ALLOWED" in str(refusal))`

describe('an unmodified client of another kind', () => {
  const setup = setUp()
  let world: ClientWorld

  before(async () => {
    world = await clientWorld(setup, async (request, response) => {
      const url = (request.url ?? '').split('?', 1)[0] ?? ''
      if (url.startsWith('/repo.git/')) {
        const file = await readFile(join(world.dir, normalize(url))).catch(() => null)
        response.writeHead(file === null ? 404 : 200).end(file ?? '')
      } else if (url === '/page') {
        response.writeHead(200, { 'content-type': 'text/html' })
        response.end('<p id="p"></p><script>p.textContent = "six times seven is " + 6 * 7</script>')
      } else if (request.method === 'POST') request.pipe(response)
      else response.end(url)
    })
  })
  after(() => world.close())
  insistOnThePort(() => world)

  it('node:http and node:https, with an agent that takes the proxy from the environment', async () => {
    const proxyEnv = { HTTPS_PROXY: world.withUser(), HTTP_PROXY: world.withUser() }
    const secure = new SecureAgent({ proxyEnv, ca: world.roots, keepAlive: true })
    const plain = new PlainAgent({ proxyEnv, keepAlive: true })
    for (let round = 0; round < 2; round += 1) {
      const [one] = await once(
        httpsGet(`https://${HOST}:${world.secure}/n`, { agent: secure }),
        'response',
      )
      assert.equal(await text(one), '/n')
      const [two] = await once(
        httpGet(`http://${HOST}:${world.plain}/n`, { agent: plain }),
        'response',
      )
      assert.equal(await text(two), '/n')
    }
    secure.destroy()
    plain.destroy()
  })

  it('python requests, with HTTPS_PROXY', async function () {
    const probe = async (name: string) => (await run(name, ['-c', 'import requests'])).code === 0
    // that of the distribution, when another Python comes first
    const python = (await probe('python3')) ? 'python3' : '/usr/bin/python3'
    if (python !== 'python3' && !(await probe(python))) leaveOut(this, 'python requests')
    const answer = await run(
      python,
      ['-c', REQUESTS, `https://${HOST}:${world.secure}/`, `http://${HOST}:${world.plain}/py`],
      {
        HTTPS_PROXY: world.withUser(),
        HTTP_PROXY: world.withUser(),
        REQUESTS_CA_BUNDLE: world.rootsFile,
      },
    )
    assert.equal(answer.stdout, 'hello\n/py\nTrue\n', answer.stderr)
  })

  it('Go net/http, with HTTPS_PROXY', async function () {
    this.timeout(240_000)
    const file = join(world.dir, 'main.go')
    await writeFile(file, GO)
    const cache = {
      HOME: process.env.HOME ?? world.dir,
      GOCACHE: process.env.GOCACHE ?? '',
      GOTOOLCHAIN: 'local',
      GOFLAGS: '-mod=mod',
      CGO_ENABLED: '0',
    }
    const urls = [`https://${HOST}:${world.secure}/`, `http://${HOST}:${world.plain}/go`]
    const answer = await run(
      'go',
      ['run', file, ...urls],
      {
        ...cache,
        HTTPS_PROXY: world.withUser(),
        HTTP_PROXY: world.withUser(),
        SSL_CERT_FILE: world.rootsFile,
      },
      170_000,
    )
    if (answer.stderr.includes('ENOENT')) leaveOut(this, 'go')
    assert.equal(answer.stdout, '200 hello\n200 /go\n', answer.stderr)
  })

  it('git, cloning over https', async function () {
    const env = {
      HOME: world.dir,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.com',
    }
    const work = join(world.dir, 'work')
    const bare = join(world.dir, 'repo.git')
    await mkdir(work)
    await writeFile(join(work, 'README'), 'cloned through the port\n')
    for (const args of [
      ['init', '-q', '-b', 'main', work],
      ['-C', work, 'add', '.'],
      ['-C', work, 'commit', '-q', '-m', 'first'],
      ['clone', '-q', '--bare', work, bare],
      ['-C', bare, 'update-server-info'],
    ]) {
      const done = await run('git', args, env)
      if (done.stderr.includes('ENOENT')) leaveOut(this, 'git')
      assert.equal(done.code, 0, done.stderr)
    }
    const target = join(world.dir, 'clone')
    const cloned = await run(
      'git',
      ['clone', '-q', `https://${HOST}:${world.secure}/repo.git`, target],
      {
        ...env,
        HTTPS_PROXY: world.withUser(),
        GIT_SSL_CAINFO: world.rootsFile,
      },
    )
    assert.equal(cloned.code, 0, cloned.stderr)
    assert.equal(await readFile(join(target, 'README'), 'utf8'), 'cloned through the port\n')
  })

  it('WebSocket clients, by a tunnel and in relay form', async () => {
    const sockets = new WebSocketServer({ server: world.server })
    sockets.on('connection', (socket) =>
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
    )
    const agent = new SecureAgent({ proxyEnv: { HTTPS_PROXY: world.withUser() }, ca: world.roots })
    const dispatcher = new ProxyAgent({ uri: world.withUser(), requestTls: { ca: world.roots } })
    const tunnelled = () => new WebSocket(`wss://${HOST}:${world.secure}/ws`, { agent })
    const relayed = () =>
      new WebSocket(`ws://127.0.0.1:${world.egress.number}/ws`, {
        headers: {
          host: `${HOST}:${world.secure}`,
          'proxy-authorization': `Bearer ${world.token}`,
        },
      })
    for (const open of [tunnelled, relayed]) {
      const socket = open()
      await once(socket, 'open')
      socket.send('x'.repeat(200_000))
      const [data] = await once(socket, 'message')
      assert.equal(String(data).length, 200_000)
      socket.close()
      await once(socket, 'close')
    }
    const standard = new UndiciWebSocket(`wss://${HOST}:${world.secure}/ws`, { dispatcher })
    await new Promise((resolve) => standard.addEventListener('open', resolve, { once: true }))
    const echoed = new Promise<unknown>((resolve) =>
      standard.addEventListener('message', (event) => resolve(event.data), { once: true }),
    )
    standard.send('hello')
    assert.equal(await echoed, 'hello')
    const closed = new Promise((resolve) => standard.addEventListener('close', resolve))
    standard.close()
    await closed
    agent.destroy()
    await dispatcher.close()
    sockets.close()
  })

  it('Chromium, with --proxy-server, through a relay on loopback that adds the token', async function () {
    this.timeout(120_000)
    // a browser takes no credential from its command line; this is what a sidecar does for it
    const open = new Set<Socket>()
    const adder = createServer((client) => {
      const upstream = connect(world.egress.number, '127.0.0.1')
      for (const socket of [client, upstream])
        open.add(socket.once('close', () => open.delete(socket)))
      // a browser that is ended leaves its connections as they are
      client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy())
      upstream.on('error', () => client.destroy())
      client.once('data', (first: Buffer) => {
        const line = first.indexOf('\r\n') + 2
        upstream.write(first.subarray(0, line))
        upstream.write(`Proxy-Authorization: Bearer ${world.token}\r\n`)
        upstream.write(first.subarray(line))
        client.pipe(upstream)
      })
      upstream.pipe(client)
    })
    const adderPort = await listenOnFreePort(adder)
    const key = new X509Certificate(world.certificate).publicKey
    const pin = createHash('sha256').update(key.export({ type: 'spki', format: 'der' }))
    const flags =
      '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync'
    const trusted = pin.digest('base64')
    const browse = () =>
      run(
        'chromium',
        [
          ...flags.split(' '),
          `--user-data-dir=${join(world.dir, 'chromium')}`,
          `--proxy-server=http://127.0.0.1:${adderPort}`,
          // no store of its own to put our root into; this very key is trusted, and no other
          `--ignore-certificate-errors-spki-list=${trusted}`,
          '--dump-dom',
          `https://${HOST}:${world.secure}/page`,
        ],
        { HOME: world.dir },
        50_000,
      )
    try {
      const page = await browse()
      if (page.stderr.includes('ENOENT')) leaveOut(this, 'chromium')
      assert.match(page.stdout, /six times seven is 42/, page.stderr.slice(-2000))
      const record = world.egress.records.find(
        (one) => one.method === 'CONNECT' && one.status === 200,
      )
      assert.equal(record?.destination_host, HOST)
      // it sends ECH always, in earnest or not: where none is wanted, no browser passes
      const allow = [`${HOST}:${world.secure}`]
      world.egress.setPolicy({ allow }, { ports: [world.secure], tls: { ech: 'refuse' } })
      const refused = await browse()
      assert.doesNotMatch(refused.stdout, /six times seven is 42/)
      assert.ok(world.egress.records.some(({ reason }) => reason === 'MESH_EGRESS_ECH'))
    } finally {
      // a browser opens connections in advance, and may leave them so
      for (const socket of open) socket.destroy()
      adder.close()
    }
  })
})
