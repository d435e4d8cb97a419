/** A real gateway, a hundred requests per second with tokens of every age, and the real command that rotates its keys. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { Agent, createServer, request, type Server } from 'node:http'
import { join } from 'node:path'
import { compactVerify, createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet } from 'jose'
import { runHere } from '../mesh-gateway/cli/run-here.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway-process.ts'
import { closeServer, listenOnFreePort } from '../support/http-origin.ts'
import { makeTestCa, type TestCa } from '../support/test-ca.ts'
import { waitFor } from '../support/wait-for.ts'

const ROTATIONS = 4
const EVERY_MS = 10
/** Requests that must have passed after each rotation before the next. */
const BETWEEN = 300

describe('signing keys rotate under load', function () {
  this.timeout(240_000)
  let ca: TestCa
  let gateway: GatewayProcess
  let origin: Server
  let to: string
  let key: string
  const agent = new Agent({ keepAlive: true, maxSockets: 20 })

  before(async () => {
    ca = await makeTestCa()
    origin = createServer((_, response) => response.end('reached'))
    const port = await listenOnFreePort(origin)
    to = `127.0.0.1:${port}`
    await ca.gatewayDir({ name: 'gw', tenants: ['acme'] })
    await mkdir(join(ca.dir, 'policy'))
    const write = (name: string, value: object) =>
      writeFile(join(ca.dir, 'policy', name), JSON.stringify(value))
    await write('acme.json', { tenant: 'acme', egress: { allow: [to] } })
    await write('_global.json', { egress: { ports: [port], allowCidrs: ['127.0.0.0/8'] } })
    gateway = await startGatewayProcess({
      dir: ca.dir,
      config: { identity: { dir: 'gateway-gw' }, serviceAccounts: { file: 'accounts.json' } },
    })
    key = (
      await command('service-account', 'create', '--tenant', 'acme', '--agent-id', 'bot-01')
    ).trim()
    await waitFor('the account to be known', async () => (await askForToken()) !== null)
  })
  after(async () => {
    agent.destroy()
    await gateway?.stop()
    await closeServer(origin)
    await ca.close()
  })

  /** What the command prints. */
  async function command(...args: string[]): Promise<string> {
    const ran = await runHere(ca.dir, [...args, '--config', gateway.configFile])
    assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
    return ran.stdout
  }

  /** As clients get one; null when the key of the account is refused. */
  async function askForToken(): Promise<string | null> {
    const answer = await fetch(`http://${gateway.egress}/v1/token`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
    })
    const body: unknown = await answer.json()
    const token: unknown =
      typeof body === 'object' && body !== null ? Reflect.get(body, 'access_token') : undefined
    return typeof token === 'string' ? token : null
  }

  /** One request in absolute form: null when it got through, or what came instead. */
  function pass(token: string): Promise<string | null> {
    const [host = '', port = ''] = gateway.egress.split(':')
    return new Promise((resolve) => {
      const asked = request({
        ...{ agent, host, port, path: `http://${to}/` },
        headers: { host: to, 'proxy-authorization': `Bearer ${token}` },
      })
      asked.on('error', (error) => resolve(String(error)))
      asked.on('response', (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          body += text
        })
        response.on('error', (error) => resolve(String(error)))
        response.on('end', () => resolve(body === 'reached' ? null : body))
      })
      asked.end()
    })
  }

  /** Tokens as they are issued, by both ways, and those that were kept; each passes again and again. */
  function startLoad(kept: string[]) {
    const fresh: string[] = []
    const failures: string[] = []
    const underWay = new Set<Promise<void>>()
    const began = performance.now()
    let passed = 0
    let turn = 0
    let ending = false
    const issue = async (make: () => Promise<string | null>) => {
      while (!ending) {
        const token = await make().catch((error: unknown) => {
          failures.push(String(error))
          return null
        })
        if (token === null) return void failures.push('no token was issued')
        fresh.push(token)
        if (fresh.length > 20) fresh.shift()
      }
    }
    const issuing = [
      issue(async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return await askForToken()
      }),
      issue(async () => {
        await new Promise((resolve) => setTimeout(resolve, 100))
        return (await command('issue-token', '--agent-id', 'bot-02')).trim()
      }),
    ]
    let due = 0
    const timer = setInterval(() => {
      // a timer that is late has more than one to send
      for (; due * EVERY_MS < performance.now() - began; due += 1) sendOne()
    }, EVERY_MS)
    const sendOne = () => {
      const from = turn % 2 === 0 && fresh.length > 0 ? fresh : kept
      const token = from[Math.floor(turn / 2) % from.length]
      turn += 1
      if (token === undefined) return
      const one = pass(token).then((failure) => {
        underWay.delete(one)
        passed += 1
        if (failure !== null) failures.push(failure)
      })
      underWay.add(one)
    }
    return {
      fresh,
      failures,
      passed: () => passed,
      async end() {
        ending = true
        clearInterval(timer)
        await Promise.all([...underWay, ...issuing])
        return passed / ((performance.now() - began) / 1000)
      },
    }
  }

  /** Keeps the key set for as long as Cache-Control says, by a clock of its own, and asks for no key between. */
  function startVerifier() {
    let clockMs = 0
    let cached: { readonly jwks: JSONWebKeySet; readonly untilMs: number } | null = null
    const unknown: string[] = []
    return {
      unknown,
      pass: (ms: number) => {
        clockMs += ms
      },
      async verify(token: string) {
        if (cached === null || clockMs >= cached.untilMs) {
          const answer = await fetch(`http://${gateway.egress}/.well-known/jwks.json`)
          const [, seconds] = /max-age=(\d+)/.exec(answer.headers.get('cache-control') ?? '') ?? []
          const jwks: JSONWebKeySet = JSON.parse(await answer.text())
          cached = { jwks, untilMs: clockMs + Number(seconds) * 1000 }
        }
        const { kid = 'none' } = decodeProtectedHeader(token)
        if (!cached.jwks.keys.some((one) => one.kid === kid)) return void unknown.push(kid)
        await compactVerify(token, createLocalJWKSet(cached.jwks))
      },
    }
  }

  const ring = async (): Promise<{ kid: string; role: string }[]> =>
    JSON.parse(await command('keys', 'list', '--json')).keys
  const kidOf = (token: string) => decodeProtectedHeader(token).kid ?? ''

  // also when it is tried a second time
  let rotated = false
  it('and no request fails; a retired key’s token is refused', async () => {
    const oldest = (await askForToken()) ?? assert.fail('no token')
    const kept = [oldest]
    const load = startLoad(kept)
    const verifier = startVerifier()
    const check = async () => {
      for (const token of [...kept, ...load.fresh]) await verifier.verify(token)
    }
    try {
      await waitFor('tokens by both ways', () => load.fresh.length > 5)
      for (let round = 0; round < ROTATIONS; round += 1) {
        await check()
        // twice within the time that a verifier keeps the keys is refused: here no time passes but the verifier's
        const force = rotated ? ['--force'] : []
        rotated = true
        await command('keys', 'rotate', ...force)
        const active = (await ring()).find(({ role }) => role === 'active')?.kid
        // the key set that was cached before the rotation knows what is signed after it
        const signed = await waitFor('a token by the new key', () =>
          load.fresh.find((token) => kidOf(token) === active),
        )
        kept.push(signed)
        await check()
        verifier.pass(330_000)
        const before = load.passed()
        await waitFor('requests since', () => load.passed() >= before + BETWEEN, {
          withinMs: 60_000,
        })
      }
    } finally {
      const rate = await load.end()
      process.stdout.write(`      ${load.passed()} requests, ${Math.round(rate)} per second\n`)
    }
    assert.deepEqual(load.failures, [])
    assert.deepEqual(verifier.unknown, [])
    assert.equal(new Set(kept.map(kidOf)).size, ROTATIONS + 1)
    // all of them verify to this day
    for (const token of kept) assert.equal(await pass(token), null)

    await command('keys', 'retire', kidOf(oldest))
    const refusal = await waitFor('the refusal', () => pass(oldest))
    assert.match(refusal, /"code":"MESH_TOKEN_KEY_UNKNOWN"/)
    for (const token of kept.slice(1)) assert.equal(await pass(token), null)
  })
})
