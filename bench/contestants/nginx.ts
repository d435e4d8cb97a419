/** nginx with grpc_pass, mTLS on both hops, one worker, an access log: no policy, no identity handed on. */
import { spawnSync } from 'node:child_process'
import { startNginx } from '../process/start-nginx.ts'
import { CALLEE_NAME, type World } from '../world/world.ts'
import { type Absent, type Contestant, NGINX, reasonOf } from './contestant.ts'

export async function startNginxProxy(
  world: World,
  backendPort: number,
): Promise<Contestant | Absent> {
  const version = spawnSync('nginx', ['-V'], { encoding: 'utf8' })
  if (version.error !== undefined) return { name: NGINX, skipped: 'nginx is not installed' }
  if (!version.stderr.includes('http_v2_module'))
    return { name: NGINX, skipped: 'nginx is built without HTTP/2' }
  const { cores, identities } = world
  const http = (port: number) => proxy({ port, backendPort, identity: identities.gateway })
  try {
    return { name: NGINX, ...(await startNginx(world, { name: NGINX, core: cores.tested, http })) }
  } catch (error) {
    return { name: NGINX, skipped: reasonOf(error) }
  }
}

interface Places {
  readonly port: number
  readonly backendPort: number
  readonly identity: string
}

/** Limits that would close connections during a run are lifted; all else is as nginx has it. */
function proxy({ port, backendPort, identity }: Places): string {
  return `  access_log access.log;
  upstream peer {
    server 127.0.0.1:${backendPort};
    keepalive 128;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port} ssl http2;
    http2_max_concurrent_streams 1000;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    grpc_read_timeout 1h;
    grpc_send_timeout 1h;
    ssl_protocols TLSv1.3;
    ssl_certificate ${identity}/tls.crt;
    ssl_certificate_key ${identity}/tls.key;
    ssl_client_certificate ${identity}/ca.crt;
    ssl_verify_client on;
    ssl_verify_depth 3;
    location / {
      grpc_pass grpcs://peer;
      grpc_ssl_protocols TLSv1.3;
      grpc_ssl_certificate ${identity}/tls.crt;
      grpc_ssl_certificate_key ${identity}/tls.key;
      grpc_ssl_trusted_certificate ${identity}/ca.crt;
      grpc_ssl_verify on;
      grpc_ssl_verify_depth 3;
      grpc_ssl_server_name on;
      grpc_ssl_name ${CALLEE_NAME};
    }
  }
`
}
