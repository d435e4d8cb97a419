/** The same small answer as http-origin.ts gives, by nginx: a third of the CPU. */
import { type Nginx, startNginx } from '../process/start-nginx.ts'
import type { World } from '../world/world.ts'

/** @throws Error when nginx does not start; pinned to no core */
export function startNginxOrigin(world: World): Promise<Nginx> {
  return startNginx(world, { name: 'nginx origin', core: null, http: origin })
}

function origin(port: number): string {
  return `  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  default_type text/plain;
  server {
    listen 127.0.0.1:${port};
    location / { return 200 "${'x'.repeat(256)}"; }
  }
`
}
