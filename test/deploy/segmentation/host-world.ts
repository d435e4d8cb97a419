/** A host on which agents and gateway run as users, and the outside: two network namespaces. */
import { type Arrival, type Attacker, startAttacker, startObserver } from './attacker.ts'
import { createNetworkNamespace, type NetworkNamespace } from './network-namespace.ts'

export interface HostWorld {
  readonly host: NetworkNamespace
  /** A user of the agents who may send packets of any form, which is more than an agent should have. */
  readonly attacker: Attacker
  /** The user of the gateway. */
  readonly gateway: Attacker
  readonly stranger: Attacker
  readonly arrivals: () => readonly Arrival[]
  close(): Promise<void>
}

const AGENT = 2001
const OTHER_AGENT = 2002
const GATEWAY = 2500
const HOST = `
  ip address add 192.0.2.1/24 dev outer0
  ip address add 192.0.2.77/24 dev outer0
  ip -6 address add 2001:db8::1/64 dev outer0 nodad
  ip link set outer0 up`
const OUTSIDE = `
  ip address add 192.0.2.2/24 dev eth0
  ip address add 192.0.2.3/24 dev eth0
  ip -6 address add 2001:db8::2/64 dev eth0 nodad
  ip link set eth0 up`

export async function createHostWorld(): Promise<HostWorld> {
  const [host, outside] = await Promise.all([createNetworkNamespace(), createNetworkNamespace()])
  await host.run(
    ...(['ip', 'link', 'add', 'outer0', 'type', 'veth'] as const),
    ...['peer', 'name', 'eth0', 'netns', String(outside.pid)],
  )
  await host.run('sh', '-ec', HOST)
  await outside.run('sh', '-ec', OUTSIDE)
  const observers = await Promise.all([
    startObserver(outside, ['sniff=eth0', 'tcp=80', 'udp=53']),
    startObserver(host, ['tcp=8080', 'tcp=8443', 'tcp=9090', 'udp=53']),
    startObserver(host, ['tcp=7443', 'udp=7443'], { user: OTHER_AGENT }),
  ])
  const [attacker, gateway, stranger] = await Promise.all([
    startAttacker(host, { user: AGENT, rawSockets: true }),
    startAttacker(host, { user: GATEWAY }),
    startAttacker(outside),
  ])
  return {
    ...{ host, attacker, gateway, stranger },
    arrivals: () => observers.flat(),
    async close() {
      await Promise.all([host.close(), outside.close()])
    },
  }
}
