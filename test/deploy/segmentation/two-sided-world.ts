/** Agent, gateway and outside as three network namespaces. The gateway forwards, and the outside knows the way back. */
import { type Arrival, type Attacker, startAttacker, startObserver } from './attacker.ts'
import { createNetworkNamespace, type NetworkNamespace } from './network-namespace.ts'

export interface TwoSidedWorld {
  readonly agent: NetworkNamespace
  readonly gateway: NetworkNamespace
  readonly outside: NetworkNamespace
  readonly attacker: Attacker
  /** Sends from the gateway itself. */
  readonly gatewayItself: Attacker
  /** Sends from the outside. */
  readonly stranger: Attacker
  /** What arrives outside, at the gateway's servers, and at the agent's. */
  readonly arrivals: () => readonly Arrival[]
  /** The gateway's link-local address on the agents' leg, with the agent's interface. */
  readonly linkLocal: string
  close(): Promise<void>
}

/** The agent gives itself all it could wish for: a default route, further addresses. */
const AGENT = `
  ip link set eth0 up
  ip address add 10.77.0.2/24 dev eth0
  ip address add 10.77.0.77/24 dev eth0
  ip address add 10.88.0.2/24 dev eth0
  ip -6 address add fd77::2/64 dev eth0 nodad
  ip -6 address add fd77::77/64 dev eth0 nodad
  ip route add default via 10.77.0.1
  ip -6 route add default via fd77::1`
const GATEWAY = `
  ip link set agents0 up
  ip link set outer0 up
  ip address add 10.77.0.1/24 broadcast + dev agents0
  ip -6 address add fd77::1/64 dev agents0 nodad
  ip address add 192.0.2.1/24 dev outer0
  ip -6 address add 2001:db8::1/64 dev outer0 nodad
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  for each in all agents0 outer0; do echo 0 >/proc/sys/net/ipv4/conf/$each/rp_filter; done`
const OUTSIDE = `
  ip link set eth0 up
  ip address add 192.0.2.2/24 dev eth0
  ip address add 192.0.2.3/24 dev eth0
  ip -6 address add 2001:db8::2/64 dev eth0 nodad
  ip route add 10.0.0.0/8 via 192.0.2.1
  ip -6 route add fd77::/64 via 2001:db8::1`

export interface TwoSidedWorldOptions {
  /** TCP ports of the gateway that a server of the test listens on. Default: the gateway's two, and one more. */
  readonly gatewayPorts?: readonly number[]
}

export async function createTwoSidedWorld({
  gatewayPorts = [8080, 8443, 9090],
}: TwoSidedWorldOptions = {}): Promise<TwoSidedWorld> {
  const spaces = await Promise.all([1, 2, 3].map(createNetworkNamespace))
  const [agent, gateway, outside] = spaces
  if (agent === undefined || gateway === undefined || outside === undefined) throw new TypeError()
  const join = (leg: string, space: NetworkNamespace) =>
    gateway.run(
      ...(['ip', 'link', 'add', leg, 'type', 'veth'] as const),
      ...['peer', 'name', 'eth0', 'netns', String(space.pid)],
    )
  await join('agents0', agent)
  await join('outer0', outside)
  for (const [space, script] of [
    [gateway, GATEWAY],
    [agent, AGENT],
    [outside, OUTSIDE],
  ] as const)
    await space.run('sh', '-ec', script)
  const observers = await Promise.all([
    startObserver(outside, ['sniff=eth0', 'tcp=80', 'udp=53']),
    startObserver(gateway, [...gatewayPorts.map((port) => `tcp=${port}`), 'udp=53']),
    startObserver(agent, ['tcp=7443']),
  ])
  const [attacker, gatewayItself, stranger] = await Promise.all([
    startAttacker(agent),
    startAttacker(gateway),
    startAttacker(outside),
  ])
  const [, linkLocal = ''] =
    /inet6 (fe80:\S+)\/64/.exec(
      await gateway.run('ip', '-6', 'address', 'show', 'dev', 'agents0'),
    ) ?? []
  return {
    ...{ agent, gateway, outside, attacker, gatewayItself, stranger },
    arrivals: () => observers.flat(),
    linkLocal: `${linkLocal}%eth0`,
    async close() {
      await Promise.all(spaces.map((space) => space.close()))
    },
  }
}
