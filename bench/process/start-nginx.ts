/** nginx with one worker, in a directory of its own; what it serves is its caller's to say. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { withDescendants } from '../measure/cpu-time.ts'
import { makeDir, type World } from '../world/world.ts'
import { untilListening } from './until-listening.ts'

export interface NginxOptions {
  readonly name: string
  /** Null: any core. */
  readonly core: number | null
  /** What stands in `http { }`; paths that are not absolute are below its directory. */
  readonly http: (port: number) => string
}

export interface Nginx {
  readonly port: number
  pids(): readonly number[]
  stop(): Promise<void>
}

/** @throws Error when it does not start; nothing is left of it then */
export async function startNginx(world: World, options: NginxOptions): Promise<Nginx> {
  const { name, core, http } = options
  const dir = await makeDir(world, name.replaceAll(' ', '-'))
  const port = await freePort()
  const file = join(dir, 'nginx.conf')
  await writeFile(file, configuration(http(port)))
  const nginx = world.processes.start({
    name,
    command: 'nginx',
    args: ['-e', join(dir, 'error.log'), '-p', dir, '-c', file],
    core,
  })
  try {
    await untilListening(port, nginx)
  } catch (error) {
    await nginx.stop()
    throw error
  }
  return { port, pids: () => withDescendants(nginx.pid), stop: () => nginx.stop() }
}

function configuration(http: string): string {
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `daemon off;
${user}
worker_processes 1;
pid nginx.pid;
events { worker_connections 4096; }
http {
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
${http}}
`
}
