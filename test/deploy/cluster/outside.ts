/** The world outside of the cluster: ports that answer, and a page that takes its time. */

import type { Programs } from '../api-server/programs.ts'
import { enter } from './node-world.ts'

export const PAGE_PORT = 80
/** All but one are ports that no policy opens. */
const OTHER_PORTS = [443, 25, 8443]
export const SLOW_CHUNKS = 24
const EVERY_MS = 500

/** `/quick` answers at once, `/slow` in SLOW_CHUNKS chunks over twelve seconds. */
const SERVER = `import { createServer } from 'node:http'
import { createServer as createTcp } from 'node:net'
let open = 0
const count = (change) => { open += change; console.log('slow requests open: ' + open) }
createServer((request, response) => {
  if (request.url !== '/slow') return response.end('here')
  count(1)
  response.on('close', () => count(-1))
  let left = ${SLOW_CHUNKS}
  const timer = setInterval(() => {
    response.write('x')
    left -= 1
    if (left === 0) { clearInterval(timer); response.end() }
  }, ${EVERY_MS})
}).listen(${PAGE_PORT})
for (const port of [${OTHER_PORTS.join()}]) createTcp((socket) => socket.on('error', () => {}).end('here')).listen(port)`

export function startOutside(programs: Programs): void {
  const args = ['--input-type=module', '--eval', SERVER]
  programs.start('outside', process.execPath, args, { by: enter('outside') })
}

export function slowRequestsOpen(programs: Programs): number {
  const [, count] = /open: (\d+)\n$/.exec(programs.lastWords('outside')) ?? []
  return Number(count ?? 0)
}
