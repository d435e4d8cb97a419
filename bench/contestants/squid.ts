/** squid, one process, no cache, an access log, one allow rule and nothing else: no credential is looked at. */
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { withDescendants } from '../measure/cpu-time.ts'
import { untilListening } from '../process/until-listening.ts'
import { makeDir, type World } from '../world/world.ts'
import { type Absent, type Contestant, reasonOf, SQUID } from './contestant.ts'

export interface Destination {
  readonly host: string
  readonly port: number
}

/** @param tunnels that it must be able to hold at once, two descriptors each */
export async function startSquid(
  world: World,
  destination: Destination,
  tunnels = 0,
): Promise<Contestant | Absent> {
  if (spawnSync('squid', ['-v']).error !== undefined)
    return { name: SQUID, skipped: 'squid is not installed' }
  // squid gives up root before it opens its logs
  const dir = await makeDir(world, 'squid', 0o777)
  const port = await freePort()
  await writeFile(join(dir, 'hosts'), `127.0.0.1 ${destination.host}\n`, { mode: 0o644 })
  const file = join(dir, 'squid.conf')
  await writeFile(file, configuration(dir, port, destination, tunnels), { mode: 0o644 })
  const squid = world.processes.start({
    name: SQUID,
    command: 'squid',
    args: ['-N', '-f', file],
    core: world.cores.tested,
  })
  try {
    await untilListening(port, squid)
  } catch (error) {
    await squid.stop()
    return { name: SQUID, skipped: reasonOf(error) }
  }
  return { name: SQUID, port, pids: () => withDescendants(squid.pid), stop: () => squid.stop() }
}

function configuration(
  dir: string,
  port: number,
  destination: Destination,
  tunnels: number,
): string {
  return `http_port 127.0.0.1:${port}
visible_hostname bench
hosts_file ${dir}/hosts
acl destination dstdomain ${destination.host}
acl destination_port port ${destination.port}
http_access allow destination destination_port
http_access deny all
cache deny all
cache_mem 0 MB
max_filedescriptors ${1024 + 2 * tunnels}
access_log stdio:${dir}/access.log
cache_log ${dir}/cache.log
cache_store_log none
pid_filename none
coredump_dir ${dir}
pinger_enable off
shutdown_lifetime 0 seconds
`
}
