/** What the image runs, as whom, and where it looks for its files: for the OCI configuration and the Dockerfile. */
import type { RunConfig } from './oci.ts'
import { USER_ID } from './system-files.ts'

export const RUN: RunConfig = {
  User: `${USER_ID}:${USER_ID}`,
  // V8 would let its heap grow to the whole limit of the container, which has more in it than a heap
  Entrypoint: ['/usr/bin/node', '--max-old-space-size-percentage=50', '/app/mesh-gateway'],
  Cmd: ['start'],
  // the C library would keep freed memory in an arena for each of many threads, and buffers of connections that have
  // ended in a heap whose end is in use: the gateway would stay at its memory limit
  Env: [
    'PATH=/usr/bin',
    'MESH_CONFIG=/etc/clawmesh/gateway.json',
    'MALLOC_ARENA_MAX=2',
    'MALLOC_MMAP_THRESHOLD_=32768',
    'MALLOC_TRIM_THRESHOLD_=65536',
  ],
  WorkingDir: '/var/lib/clawmesh',
  ExposedPorts: { '8080/tcp': {}, '8443/tcp': {} },
  StopSignal: 'SIGTERM',
}

/** Makes the same image of rootfs.tar. ADD, since COPY loses the owners. */
export function dockerfileOf(run: RunConfig, labels: Readonly<Record<string, string>>): string {
  const lines = [
    'FROM scratch',
    'ADD rootfs.tar /',
    ...run.Env.map((each) => `ENV ${each}`),
    ...Object.entries(labels).map(([name, value]) => `LABEL ${name}=${JSON.stringify(value)}`),
    `WORKDIR ${run.WorkingDir}`,
    ...Object.keys(run.ExposedPorts).map((port) => `EXPOSE ${port}`),
    `STOPSIGNAL ${run.StopSignal}`,
    `USER ${run.User}`,
    `ENTRYPOINT ${JSON.stringify(run.Entrypoint)}`,
    `CMD ${JSON.stringify(run.Cmd)}`,
  ]
  return `${lines.join('\n')}\n`
}
