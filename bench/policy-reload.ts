/**
 * How long a change of a whole policy directory takes to come into force, and how long the event loop stands still meanwhile:
 * `node bench/policy-reload.ts [tenants]`. One of the files is 1 MiB that is as wrong as it can be.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { openReloadedStore } from '../test/mesh-gateway/policy/reloaded-store.ts'

const tenants = Number(process.argv[2]) || 1_000
const hosts = Array.from({ length: 40 }, (_, at) =>
  at % 4 === 0 ? `*.h${at}.test` : `h${at}.test`,
)

const dir = await mkdtemp(join(tmpdir(), 'policy-reload-'))
async function write(mode: string): Promise<void> {
  for (let at = 0; at < tenants; at += 1)
    await writeFile(
      join(dir, `t${at}.json`),
      JSON.stringify({ tenant: `t${at}`, mode, egress: { allow: hosts } }),
    )
}

try {
  await write('enforce')
  const store = await openReloadedStore(dir)
  const bad = '{"hots":1},'.repeat(90_000)
  await writeFile(join(dir, 'hostile.json'), `{"tenant":"hostile","egress":{"allow":[${bad}""]}}`)
  await write('audit')
  const delays = monitorEventLoopDelay({ resolution: 1 })
  delays.enable()
  const startMs = performance.now()
  const whole = () =>
    store.current().tenants.size >= tenants &&
    [...store.current().tenants.values()].every(({ egress }) => egress.others.mode === 'audit')
  // the code before gave up where one file was broken
  while (!whole() && performance.now() - startMs < 60_000)
    await new Promise((resolve) => setTimeout(resolve, 5))
  delays.disable()
  const taken = whole() ? `${Math.round(performance.now() - startMs)} ms` : 'never'
  process.stdout.write(
    `${tenants} tenants and a hostile file: in force after ${taken}, longest stop ${(delays.max / 1e6).toFixed(1)} ms\n`,
  )
  await store.close()
} finally {
  await rm(dir, { recursive: true })
}
