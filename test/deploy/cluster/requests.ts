/** Requests through the egress port from within a pod, each over a connection of its own. */

import { OUTSIDE_ADDRESS } from '../policies/addresses.ts'
import { PAGE_PORT } from './outside.ts'

export interface Requests {
  readonly gateway: string
  readonly token: string
  readonly path: '/quick' | '/slow'
  /** How many at once. */
  readonly width: number
  /** Milliseconds in which new ones begin. */
  readonly forMs: number
}

export interface Outcome {
  /** By status, with the length of the body, `200 4`, or the code of the refusal, `403 MESH_…`; else the error. */
  readonly [what: string]: number
}

/** Prints an Outcome. */
export const REQUESTS = `import { request } from 'node:http'
const { gateway, token, path, width, forMs } = JSON.parse(process.argv[1])
const outcome = {}
const one = () => new Promise((resolve) => {
  const end = (what) => { outcome[what] = (outcome[what] ?? 0) + 1; resolve() }
  const [host, port] = gateway.split(':')
  const sent = request({
    host, port, agent: false, path: 'http://${OUTSIDE_ADDRESS}:${PAGE_PORT}' + path,
    headers: { host: '${OUTSIDE_ADDRESS}', 'proxy-authorization': 'Bearer ' + token },
  }, (response) => {
    let text = ''
    response.setEncoding('latin1').on('data', (chunk) => { text += chunk })
    const said = () => response.statusCode < 400 ? text.length : /MESH_[A-Z_]+/.exec(text)?.[0]
    response.on('end', () => end(response.statusCode + ' ' + said())).on('error', (error) => end(error.code))
  })
  sent.on('error', (error) => end(error.code)).end()
})
const until = Date.now() + forMs
await Promise.all(Array.from({ length: width }, async () => {
  do { await one() } while (Date.now() < until)
}))
console.log(JSON.stringify(outcome))`

export function outcomeOf(printed: string): Outcome {
  return JSON.parse(printed)
}
