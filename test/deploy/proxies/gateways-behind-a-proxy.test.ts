/**
 * deploy/proxies/haproxy.cfg and nginx.conf as they stand, each before two gateways: agents work through them as they
 * are, the gateways see the agents' own address, and one gateway drains under load without a failed call.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Agent } from '@clawmesh/agent-sdk'
import { describeClosing } from '../../support/closes-everything.ts'
import type { Program } from '../../support/start-program.ts'
import { waitFor } from '../../support/wait-for.ts'
import { startLoad } from './load.ts'
import { AGENTS, type Network, openNetwork, PROXY } from './network.ts'
import {
  GATEWAYS,
  type GatewayName,
  HANG,
  openWorld,
  serveResearcher,
  type World,
} from './world.ts'

const FILES = fileURLToPath(new URL('../../../deploy/proxies/', import.meta.url))
const MESH_AGENT = fileURLToPath(new URL('../../../mesh-agent/src/cli/main.ts', import.meta.url))
const CALLERS = 4
const ROUNDS = 20

interface Proxy {
  readonly name: string
  /** Reads the file, and ends. */
  readonly check: readonly [string, ...string[]]
  readonly start: readonly [string, ...string[]]
  /** It asks the health port, and logs what it learns. */
  readonly health: boolean
}

const PROXIES: readonly Proxy[] = [
  {
    name: 'HAProxy',
    check: ['haproxy', '-c', '-f', `${FILES}haproxy.cfg`],
    start: ['haproxy', '-db', '-f', `${FILES}haproxy.cfg`],
    health: true,
  },
  {
    name: 'nginx',
    check: ['nginx', '-t', '-c', `${FILES}nginx.conf`],
    start: ['nginx', '-g', 'daemon off;', '-c', `${FILES}nginx.conf`],
    health: false,
  },
]

describeClosing('two gateways behind a proxy', function () {
  this.timeout(600_000)
  let network: Network
  let world: World
  let planners: Agent[]

  before(async () => {
    network = openNetwork()
    world = await openWorld(network)
    await Promise.all(GATEWAYS.map((name) => world.startGateway(name)))
    await serveResearcher(world)
  })
  after(async () => {
    await world?.close()
    await network?.close()
  })

  for (const { name, check, start, health } of PROXIES)
    describe(name, () => {
      let proxy: Program
      before(async () => {
        proxy = network.start('proxy', ...start)
        planners = []
        for (let one = 0; one < CALLERS; one += 1)
          planners.push(await world.agent(`${name.toLowerCase()}-${one}`))
        await waitFor(
          'the proxy',
          async () => {
            const first = planners[0]
            return first === undefined
              ? false
              : await first.whoAmI().then(
                  () => true,
                  () => false,
                )
          },
          HANG,
        )
      })
      after(async () => {
        await Promise.all(planners.map((agent) => agent.close()))
        await proxy.close()
      })
      const linesSince = async (from: readonly number[]) => {
        const all = await Promise.all(GATEWAYS.map((gateway) => world.audit(gateway)))
        return all.map((lines, index) => lines.slice(from[index]))
      }
      const logged = (line: RegExp) => proxy.lastLines().some((one) => line.test(one))
      const counts = async () => (await linesSince([0, 0])).map((lines) => lines.length)

      it('takes its file without a warning', () => {
        const [command, ...args] = check
        const own = 'mount -t tmpfs tmpfs /run && exec "$@" 2>&1'
        const said = network.run('proxy', 'sh', '-c', own, 'sh', command, ...args)
        assert.doesNotMatch(said, /warn|alert|emerg/i)
      })

      it('carries calls and requests to both, and each is recorded with the address of the agent', async () => {
        const before = await counts()
        for (let round = 0; round < ROUNDS; round += 1) {
          const agent = planners[round % CALLERS] ?? assert.fail()
          const result = await agent.delegate('researcher', { skill: 'echo', input: 'x' }).result()
          assert.equal(result.text(), 'x')
          assert.equal(await (await agent.fetch(world.destination)).text(), 'reached')
        }
        const records = await waitFor(
          'the records',
          async () => {
            const all = await linesSince(before)
            return all.flat().length >= ROUNDS * 2 && all
          },
          HANG,
        )
        for (const lines of records)
          for (const event of ['delegation', 'egress'])
            assert.ok(
              lines.some((line) => line.event === event),
              `${event} at each gateway`,
            )
        const addresses = new Set(records.flat().map(({ client_ip }) => client_ip))
        assert.deepEqual([...addresses], [AGENTS])
      })

      it('passes TLS through: the server name, the protocol, the certificates of both sides', async () => {
        const dir = await world.identity('anybody')
        const [cert, key, ca] = await Promise.all(
          ['tls.crt', 'tls.key', 'ca.crt'].map((file) => readFile(join(dir, file))),
        )
        const servername = 'gateway.mesh.internal'
        const to = { host: PROXY, port: 8443, ALPNProtocols: ['h2'] }
        const socket = connect({ ...to, servername, cert, key, ca })
        const session = connectHttp2(`https://${servername}`, { createConnection: () => socket })
        await once(session, 'remoteSettings')
        assert.deepEqual([socket.authorized, socket.alpnProtocol], [true, 'h2'])
        const closed = once(session, 'close')
        session.close()
        await closed
      })

      it('is one more gateway to the doctor of an agent', async () => {
        const agent = planners[0] ?? assert.fail()
        const secretFile = join(world.dir, `${name}.secret`)
        const identity = await world.identity(`${name.toLowerCase()}-0`)
        const relay = await agent.egressRelay({ listen: '127.0.0.1:0', secretFile })
        try {
          const command = (...words: readonly string[]) =>
            promisify(execFile)(process.execPath, [
              ...[MESH_AGENT, 'openclaw', ...words, '--config', join(world.dir, `${name}.json`)],
              ...['--identity', identity, '--gateway', `${PROXY}:8443`],
              ...['--egress', `https://${PROXY}:8080`, '--secret-file', secretFile],
              ...['--listen', `127.0.0.1:${relay.address.port}`],
            ])
          await command('setup', '--no-plugin', '--yes')
          // it ends with 1 when it finds anything
          const { stdout } = await command('doctor')
          assert.match(stdout, /gateway +10\.20\.0\.5:8443 knows spiffe:/)
          assert.match(stdout, /way out/)
        } finally {
          await relay.close()
        }
      })

      /** Requests that are open, one of them at least at this gateway. */
      const openRequests = async (gateway: GatewayName) => {
        const known = world.waiting.length
        const answers: Promise<string>[] = []
        const arrived = () => world.waiting.slice(known)
        while (!arrived().some((one) => one.gateway === gateway)) {
          const agent = planners[answers.length % CALLERS] ?? assert.fail()
          answers.push(agent.fetch(world.slow).then((answer) => answer.text()))
          await waitFor('its arrival', () => arrived().length === answers.length, HANG)
          assert.ok(answers.length < 50, `none of ${answers.length} came by ${gateway}`)
        }
        return {
          async answered() {
            for (const { answer } of arrived()) answer()
            return await Promise.all(answers)
          },
        }
      }

      it('loses no call and no request while one of them drains, and while it comes back', async () => {
        const load = startLoad(planners, world.destination)
        const { done, failures } = load
        const more = async (what: string) => {
          const { calls, requests } = { ...done }
          await waitFor(what, () => done.calls > calls + 20 && done.requests > requests + 20, HANG)
        }
        try {
          await more('load')
          const open = await openRequests('gw-1')
          const began = performance.now()
          const ended = world.stopGateway('gw-1')
          await more('load while it drains')
          if (health)
            await waitFor('its end in the log', () => logged(/egress\/gw-1 is DOWN/), HANG)
          assert.deepEqual(new Set(await open.answered()), new Set(['reached']))
          assert.equal(await ended, 0)
          const drainedMs = performance.now() - began
          await more('load without it')
          const before = await counts()
          await world.startGateway('gw-1')
          if (health)
            await waitFor('its return in the log', () => logged(/delegation\/gw-1 is UP/), HANG)
          await waitFor(
            'new connections of it',
            async () => {
              // old connections stay where they are: fresh ones are for the gateway that has fewer
              const agent = await world.agent(`${name.toLowerCase()}-later`)
              await agent.whoAmI()
              await agent.close()
              return ((await linesSince(before))[0] ?? []).length > 0
            },
            HANG,
          )
          process.stdout.write(
            `      ${done.calls} calls and ${done.requests} requests, ${failures.length} failed; drained in ${(drainedMs / 1000).toFixed(1)} s\n`,
          )
        } finally {
          await load.stop()
        }
        assert.deepEqual(failures.slice(0, 10), [])
      })

      it('has every header taken by the gateways, and sends no check of its own to their ports', () => {
        for (const gateway of GATEWAYS)
          assert.deepEqual(ofProxies(world.refused(gateway)), {}, gateway)
      })
    })

  describe('beside it', () => {
    it('serve nobody, with a header or without', async () => {
      const tried = (...args: readonly string[]) => {
        try {
          return execFileSync('curl', ['-sS', '--max-time', '10', '-k', ...args], {
            ...{ encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] },
          })
        } catch (error) {
          return String(error instanceof Error && 'stderr' in error ? error.stderr : error)
        }
      }
      for (const port of [8080, 8443])
        for (const header of [[], ['--haproxy-protocol']])
          assert.match(tried(...header, `https://10.20.0.11:${port}/health`), /^curl: \(/)
      assert.deepEqual(ofProxies(world.refused('gw-1')), {
        'egress proxy-unlisted': 2,
        'delegation proxy-unlisted': 2,
      })
    })
  })
})

/** Under load others may be refused too: a handshake that takes too long. */
function ofProxies(refused: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(refused).filter(([reason]) => reason.includes(' proxy-')),
  )
}
