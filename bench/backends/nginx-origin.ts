/** The same small answer as http-origin.ts gives, by nginx: a third of the CPU. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../scripts/dev/free-ports.ts'
import { withDescendants } from '../measure/cpu-time.ts'
import { untilListening } from '../process/until-listening.ts'
import { makeDir, type World } from '../world/world.ts'

export interface Origin {
  readonly port: number
  pids(): readonly number[]
  stop(): Promise<void>
}

/** @throws Error when nginx does not start; pinned to no core */
export async function startNginxOrigin(world: World): Promise<Origin> {
  const dir = await makeDir(world, 'nginx-origin')
  const port = await freePort()
  const file = join(dir, 'nginx.conf')
  await writeFile(file, configuration(dir, port))
  const nginx = world.processes.start({
    name: 'nginx origin',
    command: 'nginx',
    args: ['-e', join(dir, 'error.log'), '-p', dir, '-c', file],
    core: null,
  })
  await untilListening(port, nginx)
  return { port, pids: () => withDescendants(nginx.pid), stop: () => nginx.stop() }
}

function configuration(dir: string, port: number): string {
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `daemon off;
${user}
worker_processes 1;
pid ${dir}/nginx.pid;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port};
    location / { return 200 "${'x'.repeat(256)}"; }
  }
}
`
}
