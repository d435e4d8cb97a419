/** The stack of deploy/compose on real engines: what the agent reaches, and what becomes of the gateway under pressure. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { isRecord } from '../../../scripts/dev/message.ts'
import type { EngineName } from '../../support/containers/engine.ts'
import { waitFor } from '../../support/wait-for.ts'
import { attacksOn } from './attacks.ts'
import { migration } from './migration.ts'
import {
  allowOutside,
  GATEWAY,
  HANG,
  OUTSIDE,
  PROBE,
  REFERENCE,
  type Stack,
  startStack,
} from './stack.ts'

const REQUEST = new URL('request.mjs', import.meta.url)
const RATE = new URL('rate.mjs', import.meta.url)
const CROWD = new URL('crowd.mjs', import.meta.url)
const OUTSIDER = 'outsider'
/** A container with a way out, that attacks. */
const UNCONFINED = 'unconfined'
/** What a container reaches that has a way out: the attacks find it when it is there. */
const REACHABLE = [
  'a container outside',
  'a machine outside',
  'the machine by the other bridge',
  'DNS of a machine outside',
  'DNS, by what the container has',
] as const
/** An error of the system or of DNS, or no answer. */
const CLOSED = /^(?:E[A-Z_]+|silence)$/

for (const engine of ['docker', 'podman'] as const)
  describe(`the sidecar stack on ${engine}`, () => sidecar(engine))

function sidecar(engine: EngineName): void {
  let stack: Stack
  let agent: string
  let outsider: string
  before('the stack is up', async function () {
    // with the image, if there is none yet
    this.timeout(900_000)
    const began = performance.now()
    stack = await startStack(engine)
    const { ms } = await stack.ready()
    figure(`${engine}: up in ${seconds(performance.now() - began)}, of it ready in`, seconds(ms))
    agent = await stack.id('agent')
    await stack.engine.client(
      ...['run', '-d', '--name', OUTSIDER, '--network', 'mesh_outside', '--entrypoint'],
      ...[
        '/usr/bin/node',
        REFERENCE,
        '-e',
        "require('http').createServer((q,s)=>s.end('x')).listen(8000)",
      ],
    )
    outsider = await stack.address(OUTSIDER, 'outside')
  })
  after('it is down', async function () {
    this.timeout(120_000)
    if (stack === undefined) return
    await stack.engine.client('rm', '-f', OUTSIDER)
    await stack.close()
  })

  const leaks = () => stack.asked().filter((name) => name.startsWith('leak'))

  it('the attacks reach their targets from a container that is not confined', async () => {
    await stack.engine.client(
      ...[
        'run',
        '-d',
        '--name',
        UNCONFINED,
        '--network',
        'mesh_outside',
        '--entrypoint',
        '/usr/bin/node',
      ],
      ...[REFERENCE, '-e', 'setInterval(() => {}, 1000)'],
    )
    try {
      const all = await attacksOn(stack, outsider)
      const reachable = Object.fromEntries(REACHABLE.map((what) => [what, all[what]]))
      // a program that answers may not have started yet
      await waitFor('all of them to answer', async () => {
        const found = await probe(stack, UNCONFINED, reachable)
        return Object.values(found).every((became) => !CLOSED.test(String(became)))
      })
      assert.ok(stack.asked().includes('leak-1.test'), 'its question reached the resolver')
    } finally {
      await stack.engine.client('rm', '-f', UNCONFINED)
    }
  })

  it('the agent reaches nothing of it, and its questions for names leave no trace', async () => {
    const before = leaks().length
    const found = await probe(stack, agent, await attacksOn(stack, outsider))
    const reached = Object.entries(found).filter(([, became]) => !CLOSED.test(String(became)))
    assert.deepEqual(Object.fromEntries(reached), {})
    // what was asked before it has been heard when it is heard
    await probe(stack, OUTSIDER, { marker: { kind: 'dns', name: 'marker.test' } })
    await waitFor('the marker', () => stack.asked().includes('marker.test'))
    assert.deepEqual(leaks().slice(before), [])
  })

  it('it sees two ports of the gateway, and has no address of IPv6', async () => {
    const found = await probe(stack, agent, {
      low: { kind: 'scan', host: GATEWAY, from: 1, to: 1_024 },
      high: { kind: 'scan', host: GATEWAY, from: 8_000, to: 9_999 },
      addresses: { kind: 'addresses' },
    })
    assert.deepEqual(found, { low: [], high: [8080, 8443], addresses: ['172.31.250.3'] })
  })

  it('with a token the page arrives, and another host is refused with an audit record', async () => {
    const token = await stack.token()
    const ask = (url: string, given = token) => stack.inside(agent, REQUEST, { url, token: given })
    assert.deepEqual(await ask('http://outside.test/'), {
      status: 200,
      body: 'the page of outside.test\n',
    })
    const refused = await ask('http://elsewhere.test/')
    assert.ok(isRecord(refused))
    assert.equal(refused.status, 403)
    const without = await ask('http://outside.test/', '')
    assert.ok(isRecord(without) && without.status === 407)
    const record = await waitFor('the record', async () =>
      (await stack.audit()).find(({ destination_host: host }) => host === 'elsewhere.test'),
    )
    assert.equal(record.action_allowed, false)
    assert.equal(record.agent_id, 'bot-01')
    assert.equal(stack.asked().includes('elsewhere.test'), false)
  })

  it('the gateway runs as nobody, with nothing that it could use', async () => {
    const pid = await stack.pid('gateway')
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    assert.match(status, /^Uid:\s+65532\s+65532\s+65532\s+65532$/m)
    assert.match(status, /^NoNewPrivs:\s+1$/m)
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.match(status, new RegExp(`^${set}:\\s+0+$`, 'm'))
    figure(`${engine}: resident memory when idle`, /^VmRSS:\s+(\d+ kB)$/m.exec(status)?.[1] ?? '')
  })

  it('serves many requests within half a core', async () => {
    const token = await stack.token()
    const run = async (container: string, asked: object) => {
      const seen = await stack.inside(container, RATE, asked)
      assert.ok(isRecord(seen))
      assert.equal(seen.refused, 0)
      return {
        perSecond: (Number(seen.requests) * 1000) / Number(seen.ms),
        p50: Number(seen.p50Ms),
      }
    }
    const one = { connections: 1, ms: 1_500 }
    const by = await run(agent, { token, ...one })
    const direct = await run(OUTSIDER, { address: OUTSIDE, ...one })
    const ms = [by.p50, direct.p50, by.p50 - direct.p50].map((each) => each.toFixed(2))
    figure(
      `${engine}: one at a time, p50: ${ms[0]} ms, without a gateway ${ms[1]} ms, added`,
      `${ms[2]} ms`,
    )
    // by now its code has run often
    const many = await run(agent, { token, connections: 16, ms: 3_000 })
    figure(`${engine}: requests a second over TLS, 16 at once:`, many.perSecond.toFixed(0))
  })

  it('its tokens survive a kill of the process, which is ready again by itself', async () => {
    const { pid } = await stack.ready()
    const token = await stack.token()
    process.kill(pid, 'SIGKILL')
    const again = await stack.ready(pid)
    figure(`${engine}: ready after a kill in`, seconds(again.ms))
    const answer = await stack.inside(agent, REQUEST, { url: 'http://outside.test/', token })
    assert.ok(isRecord(answer))
    assert.equal(answer.status, 200)
  })

  // its commands are typed for docker
  if (engine === 'docker') describe('an agent that moves to it', () => migration(() => stack))

  // last, since all others would wait for the end of it
  describe('under pressure', () => {
    // the policy of the migration does not have this host
    const serves = (agent: string, token: string) => {
      const served = async () => {
        const answer = await stack.inside(agent, REQUEST, { url: 'http://crowd.test/', token })
        return isRecord(answer) && answer.status === 200
      }
      return waitFor('service', served, HANG)
    }

    it('at its memory limit it sheds load, lives on, and serves again', async function () {
      this.timeout(300_000)
      const { pid } = await stack.ready()
      await allowOutside(stack.dir)
      // a token is good for what policy allows when it is issued
      const [token, agent] = [await stack.token(), await stack.id('agent')]
      await serves(agent, token)
      const seen = await stack.inside(agent, CROWD, { token, most: 8_000 })
      assert.ok(isRecord(seen))
      figure(`${engine}: under a crowd`, JSON.stringify(seen))
      assert.ok(Number(seen.open) > 0, 'some were served')
      assert.ok(Number(seen.refused) + Number(seen.closed) > 0, 'some were refused')
      assert.equal(seen.other, 0)
      assert.equal(await stack.pid('gateway'), pid, 'the same process')
      await serves(agent, token)
      assert.equal(await stack.pid('gateway'), pid, 'the same process')
    })
  })
}

async function probe(stack: Stack, container: string, targets: object) {
  const found = await stack.inside(container, PROBE, targets)
  assert.ok(isRecord(found))
  return found
}

function figure(what: string, value: string): void {
  process.stdout.write(`    ${what} ${value}\n`)
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
