/**
 * smokescreen as an operator has it: rules from a file, its own address rules, its log in a file, the name server of the
 * bench. It asks that one for each request, since it keeps no answer; it looks at no credential but a certificate's, and
 * none is asked for.
 */
import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { untilListening } from '../process/until-listening.ts'
import { makeDir, type World } from '../world/world.ts'
import { type Absent, type Contestant, reasonOf, SMOKESCREEN } from './contestant.ts'
import type { Destination } from './squid.ts'

/** Idle connections to one destination that it keeps. Go's own default is 2, and 30 of 32 clients would dial each time. */
const KEPT_CONNECTIONS = 64
/** Told to end, it waits for tunnels to end by themselves, for hours. */
const STOP_MS = 200
const SAID = 400

export async function startSmokescreen(
  world: World,
  destination: Destination,
  nameServerPort: number,
): Promise<Contestant | Absent> {
  if (spawnSync('smokescreen', ['--help']).error !== undefined)
    return { name: SMOKESCREEN, skipped: 'smokescreen is not installed' }
  const dir = await makeDir(world, 'smokescreen')
  const port = await freePort()
  const file = join(dir, 'config.yaml')
  const rules = join(dir, 'acl.yaml')
  const log = join(dir, 'smokescreen.log')
  await writeFile(rules, accessRules(destination))
  await writeFile(file, configuration(port, rules, destination, nameServerPort))
  const smokescreen = world.processes.start({
    name: SMOKESCREEN,
    // its log is its standard error
    command: 'sh',
    args: ['-c', 'exec smokescreen --config-file "$0" >"$1" 2>&1', file, log],
    core: world.cores.tested,
  })
  try {
    await untilListening(port, smokescreen)
  } catch (error) {
    await smokescreen.stop()
    const said = await readFile(log, 'utf8').catch(() => '')
    return { name: SMOKESCREEN, skipped: said.slice(-SAID).trim() || reasonOf(error) }
  }
  const stop = () => smokescreen.stop(STOP_MS)
  return { name: SMOKESCREEN, port, pids: () => [smokescreen.pid], stop }
}

/** Callers without a certificate have the role `default`. */
function accessRules({ host }: Destination): string {
  return `version: v1
services: []
default:
  name: default
  project: bench
  action: enforce
  allowed_domains: [${JSON.stringify(host)}]
`
}

function configuration(
  port: number,
  rules: string,
  destination: Destination,
  nameServerPort: number,
): string {
  return `ip: 127.0.0.1
port: ${port}
acl_file: ${JSON.stringify(rules)}
allow_missing_role: true
allow_addresses: ["127.0.0.1:${destination.port}"]
resolver_addresses: ["127.0.0.1:${nameServerPort}"]
transport_max_idle_conns_per_host: ${KEPT_CONNECTIONS}
`
}
