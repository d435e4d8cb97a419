/** The way out of OpenClaw through the relay that the plugin keeps. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { request } from 'node:http'
import { promisify } from 'node:util'
import { waitFor } from '../../support/wait-for.ts'
import type { World } from '../world.ts'

export interface Traffic {
  /** Statuses so far. */
  readonly statuses: readonly number[]
  stop(): Promise<void>
}

/** One request through the relay each second, from now on. */
export async function startTraffic({ relay, page }: World): Promise<Traffic> {
  const statuses: number[] = []
  const secret = await relay.secret()
  let stopped = false
  const run = async () => {
    while (!stopped) {
      statuses.push(await through(relay.port, secret, page.url))
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    }
  }
  const running = run()
  return {
    statuses,
    async stop() {
      stopped = true
      await running
    },
  }
}

export function wayOut(world: () => World, traffic: () => Traffic): void {
  it('OpenClaw itself finds the relay to be a good proxy', async () => {
    const { a, relay, page } = world()
    const url = `http://openclaw:${await relay.secret()}@127.0.0.1:${relay.port}`
    const said = await a
      .command('proxy', 'validate', '--json', '--proxy-url', url, '--allowed-url', page.url)
      .catch((error: unknown) => String(Object(error).stdout))
    assert.match(said, /"ok": true/)
    assert.doesNotMatch(said, new RegExp(await relay.secret()))
  })

  it('the relay dies, and another one is there', async () => {
    const { relay, page } = world()
    const [before] = await relayProcesses(relay.port)
    assert.ok(before !== undefined, 'no relay runs')
    process.kill(before, 'SIGKILL')
    const after = await waitFor('the next relay', async () => {
      const [found] = await relayProcesses(relay.port)
      return found !== undefined && found !== before && found
    })
    assert.notEqual(after, before)
    const secret = await relay.secret()
    await waitFor('its port', async () => (await through(relay.port, secret, page.url)) === 200)
  })

  it('no request failed while its token changed every minute, but when its relay was killed', async () => {
    const { mesh } = world()
    const jtis = await waitFor(
      'three tokens',
      async () => {
        const lines = (await mesh.audit()).filter(
          ({ event, agent_id, chain }) => event === 'egress' && agent_id === 'oc-a' && !chain,
        )
        const found = new Set(lines.map(({ token_jti }) => token_jti))
        return found.size >= 3 && found
      },
      { withinMs: 200_000, everyMs: 1_000 },
    )
    await traffic().stop()
    const { statuses } = traffic()
    const failed = statuses.filter((status) => status !== 200)
    process.stdout.write(
      `      ${statuses.length} requests, ${jtis.size} tokens, ${failed.length} failed\n`,
    )
    // nobody listened, or the gateway of the mesh was away: no request failed for its token
    assert.ok(
      failed.every((status) => status === 0 || status === 502),
      failed.join(),
    )
  })
}

/** The status, 0 when nobody listens. */
function through(port: number, secret: string, url: string): Promise<number> {
  const credential = Buffer.from(`openclaw:${secret}`).toString('base64')
  return new Promise((resolve) => {
    const asked = request(
      {
        ...{ host: '127.0.0.1', port, path: url, agent: false },
        headers: { host: new URL(url).host, 'proxy-authorization': `Basic ${credential}` },
      },
      (response) => {
        response.resume()
        response.once('end', () => resolve(response.statusCode ?? 0))
      },
    )
    asked.once('error', () => resolve(0))
    asked.end()
  })
}

export async function relayProcesses(port: number): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,args='])
  return stdout
    .split('\n')
    .filter((line) => line.includes(' relay --identity ') && line.includes(`127.0.0.1:${port}`))
    .map((line) => Number.parseInt(line, 10))
}
