/** What is open, the peers with the health of each address, and how full the limits are. */
import { html, type TemplateResult } from 'lit-html'
import { state, table } from './parts.ts'
import type { Limits, Open, Peers } from './shapes.ts'
import { agent, count, duration, name } from './words.ts'

export function openPage({ calls, tunnels, open, left_out: leftOut }: Open): TemplateResult {
  const some = `${count(open.length)} of ${count(open.length + leftOut)}`
  return html`
    <p>${count(calls)} calls, ${count(tunnels)} tunnels and requests.</p>
    ${table(
      leftOut === 0 ? 'Open now, the longest first' : `${some} that are open now`,
      ['plane', 'agent', 'to', 'how', 'for', 'tree'],
      open
        .toSorted((a, b) => b.duration_ms - a.duration_ms)
        .map((one) => [
          one.event,
          name(`${one.tenant ?? '?'}/${one.agent_id ?? '?'}`),
          one.event === 'egress' ? name(one.destination_host) : agent(one.callee),
          name(one.event === 'egress' ? one.method : one.grpc_method),
          duration(one.duration_ms),
          one.root_id === null ? '' : html`<a href="#trees/${one.root_id}">tree</a>`,
        ]),
    )}`
}

export function peersPage({ peers }: Peers): TemplateResult {
  const rows = peers.flatMap(({ tenant, name: peer, addresses }) =>
    addresses.map((one) => ({ tenant, peer, replicas: addresses.length, ...one })),
  )
  return table(
    'Peers and their replicas, those that are avoided first',
    ['peer', 'callers of', 'replica', 'health', 'connections', 'streams', 'failures'],
    rows
      .toSorted((a, b) => b.failures - a.failures || b.streams - a.streams)
      .map((one) => [
        name(one.peer),
        name(one.tenant),
        `${name(one.ip)} ${one.port}`,
        one.failures === 0
          ? state('healthy')
          : html`${state('avoided')} for ${duration(one.avoided_ms)}`,
        count(one.sessions),
        count(one.streams),
        count(one.failures),
      ]),
    'no peer was called of late',
  )
}

export function limitsPage({ counted_in: countedIn, uses }: Limits): TemplateResult {
  const caption =
    countedIn === 'redis'
      ? 'Limits of late, counted by Redis for all gateways together'
      : `Limits, the fullest first, counted in the ${countedIn}`
  return table(
    caption,
    ['whose', 'what', 'used', 'of', 'how full'],
    uses.map(({ key, kind, used, most, per_minute: perMinute }) => {
      const words = `${name(key)}: ${used} of ${most}`
      const meter = html`<meter min="0" max=${most} high=${most * 0.9} value=${used} aria-label=${words}></meter>`
      return [
        name(key),
        perMinute === null ? kind : `${count(perMinute)} a minute, burst`,
        used === null ? 'counted by Redis' : count(used),
        count(most),
        used === null ? '' : meter,
      ]
    }),
    'none is in use',
  )
}
